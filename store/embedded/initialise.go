package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/snapwatch/snapwatch/internal/strictpath"
)

// newSuffix and a random text are in the names of the directories in which initdb runs.
const newSuffix = ".new"

// removeInterrupted removes what interrupted runs of initdb have left. An initdb outlives a server that was killed for
// a moment. What it writes meanwhile is removed at the next start.
func (c *Cluster) removeInterrupted() {
	left, err := filepath.Glob(c.data() + newSuffix + "*")
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		c.cfg.Logger.Info("could not remove an interrupted initdb yet", "err", err)
	}
}

// initialise runs initdb in a temporary directory and renames it, so that an interrupted initdb does not leave an
// incomplete cluster. The name of the directory is a new one, because an interrupted initdb may still write to its own.
func (c *Cluster) initialise(ctx context.Context) error {
	c.cfg.Logger.Info("creating a private PostgreSQL cluster", "dir", c.data(), "binaries", c.bin)
	fresh := c.data() + newSuffix + "-" + rand.Text()
	if err := c.owner.makeOwned(fresh); err != nil {
		return fmt.Errorf("create the cluster directory: %w", err)
	}
	if out, err := c.run(ctx, "initdb", "-D", fresh, "-U", superuser, "--auth-local=peer", "--auth-host=reject",
		"--encoding=UTF8", "--locale=C", "--data-checksums"); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	files := map[string]string{
		"pg_hba.conf":   "local all all peer map=snapwatch\n",
		"pg_ident.conf": c.owner.identMap(),
	}
	for name, text := range files {
		if err := c.owner.write(filepath.Join(fresh, name), os.O_TRUNC, text); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	err := errors.Join(strictpath.SyncDir(fresh), os.Rename(fresh, c.data()), strictpath.SyncDir(c.cfg.Dir))
	if err != nil {
		return fmt.Errorf("rename the new cluster: %w", err)
	}
	return nil
}
