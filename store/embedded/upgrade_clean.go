package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/internal/backoff"
)

// removeAttempts bounds the attempts to remove a directory in which processes of a killed upgrade still write.
const removeAttempts = 8

// removeUnfinishedUpgrade removes the new cluster of an upgrade that was interrupted, and stops the servers that it has
// left running.
func (c *Cluster) removeUnfinishedUpgrade(ctx context.Context) error {
	work := filepath.Join(c.cfg.Dir, upgradeDir)
	if _, err := os.Lstat(work); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	// All servers of an upgrade but the one that dumps have their sockets in its directory, where Start does not look.
	socket := socketDir(work)
	var stopErr error
	for _, server := range []struct{ data, mode string }{
		{c.data(), "fast"},
		{filepath.Join(work, inUse), "immediate"}, // its data is removed
	} {
		running := &Cluster{cfg: Config{Dir: filepath.Dir(server.data)}}
		isRunning, err := running.isRunning()
		if err != nil {
			return err
		}
		if !isRunning || running.socketOf() != socket {
			continue
		}
		out, err := c.run(ctx, "pg_ctl", "stop", "-D", server.data, "-m", server.mode, "-w", "-t", "60")
		if err != nil {
			stopErr = errors.Join(stopErr, fmt.Errorf("stop a server of an interrupted upgrade: %w: %s", err, out))
		}
	}
	_ = os.RemoveAll(socket) // it may be outside
	delay := backoff.Backoff{Min: 50 * time.Millisecond, Max: time.Second}
	for attempt := 1; ; attempt++ {
		err := os.RemoveAll(work)
		if err == nil {
			return stopErr
		}
		if attempt == removeAttempts {
			return fmt.Errorf("remove an interrupted upgrade: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove an interrupted upgrade: %w", err)
		case <-time.After(delay.Next()):
		}
	}
}

// socketOf returns the socket directory of the cluster's server, as it has recorded it.
func (c *Cluster) socketOf() string {
	const line = 4 // of postmaster.pid, from 0
	text, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return ""
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) <= line {
		return ""
	}
	return strings.TrimSpace(lines[line])
}

// dataSize returns the size of a cluster's files in bytes, without the write-ahead log.
func dataSize(data string) (size uint64, err error) {
	err = filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a server has removed it meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "pg_wal" {
			return filepath.SkipDir
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			size += uint64(info.Size())
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("measure the cluster: %w", err)
	}
	return size, nil
}

// keepName returns the name under which a cluster of a version is kept: one that is not used yet.
func keepName(dir string, major int) string {
	name := fmt.Sprintf("%s.old-%d", inUse, major)
	for i := 2; ; i++ {
		if _, err := os.Lstat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			return name
		}
		name = fmt.Sprintf("%s.old-%d.%d", inUse, major, i)
	}
}

// RevertConfig configures Revert.
type RevertConfig struct {
	// Dir is the data directory.
	Dir string
	// Major is the version to go back to. 0 means that of the only cluster that was kept.
	Major int
	// BinDir has the programs of the kept cluster's version. By default, Revert searches for them.
	BinDir string
}

// Revert puts the cluster that Upgrade has kept back in use, and keeps the present one in turn. Nothing that was stored
// since the upgrade is in the kept cluster. No server may use the directory.
func Revert(ctx context.Context, cfg RevertConfig) (Upgraded, error) {
	c, lock, err := openStopped(cfg.Dir, true)
	if err != nil {
		return Upgraded{}, err
	}
	defer func() { _ = lock.Close() }()
	kept, err := findKept(c.cfg.Dir, cfg.Major)
	if err != nil {
		return Upgraded{}, err
	}
	to, from := clusterMajor(kept), clusterMajor(c.data())
	if c.bin, err = findBinaries(cfg.BinDir, to); err != nil {
		return Upgraded{}, err
	}
	if err := c.removeUnfinishedUpgrade(ctx); err != nil {
		return Upgraded{}, err
	}
	isRunning, err := c.isRunning()
	if err != nil {
		return Upgraded{}, err
	}
	if isRunning { // a killed server has left it
		if err := c.shutdown(ctx); err != nil {
			return Upgraded{}, err
		}
	}
	keep := keepName(c.cfg.Dir, from)
	if err := switchTo(c.cfg.Dir, c.owner, filepath.Base(kept), keep); err != nil {
		return Upgraded{}, err
	}
	return Upgraded{From: from, To: to, Kept: filepath.Join(c.cfg.Dir, keep)}, nil
}

// findKept returns the directory of the only kept cluster, or of the only one of a version other than 0.
func findKept(dir string, major int) (string, error) {
	all, err := filepath.Glob(filepath.Join(dir, inUse+".old-*"))
	if err != nil {
		return "", fmt.Errorf("search kept clusters: %w", err)
	}
	all = slices.DeleteFunc(all, func(path string) bool {
		found := clusterMajor(path)
		return found == 0 || major != 0 && found != major
	})
	switch len(all) {
	case 0:
		return "", fmt.Errorf("there is no cluster of an earlier upgrade in %s", dir)
	case 1:
		return all[0], nil
	}
	return "", fmt.Errorf("there are several clusters of earlier upgrades: choose a version with --to, or delete "+
		"those that you do not need: %s", strings.Join(all, ", "))
}
