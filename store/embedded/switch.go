package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/snapwatch/snapwatch/internal/strictpath"
)

// A clusterSwitch replaces the cluster in use by another one. Two renames do that. It is recorded in a file before the
// first one, so that the next start completes a switch that was interrupted between them. Otherwise the start would
// find no cluster and create an empty one.
type clusterSwitch struct {
	// From is the cluster that replaces the one in use, and Keep is the new name of that one. Both are relative to the
	// data directory.
	From string `json:"from"`
	Keep string `json:"keep"`
}

const (
	inUse      = "postgres"
	switchFile = "postgres.switch"
)

// isSwitching reports whether a switch in a data directory was interrupted.
func isSwitching(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, switchFile))
	return err == nil
}

// switchTo replaces the cluster in use by the one in from, and keeps it in keep.
func switchTo(dir string, o owner, from, keep string) error {
	text, err := json.Marshal(clusterSwitch{From: from, Keep: keep})
	if err != nil {
		return fmt.Errorf("record the switch: %w", err)
	}
	path := filepath.Join(dir, switchFile)
	if err := o.write(path+".new", os.O_TRUNC, string(text)); err != nil {
		return fmt.Errorf("record the switch: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("record the switch: %w", err)
	}
	if err := strictpath.SyncDir(dir); err != nil {
		return err
	}
	return finishSwitch(dir, o)
}

// finishSwitch completes the switch that is recorded in a data directory, if there is one. If the cluster in use cannot
// be renamed, it stays in use.
func finishSwitch(dir string, o owner) error {
	path := filepath.Join(dir, switchFile)
	text, err := o.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the recorded switch of clusters: %w", err)
	}
	var s clusterSwitch
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if !filepath.IsLocal(s.From) || !filepath.IsLocal(s.Keep) {
		return fmt.Errorf("read %s: a directory is not below the data directory", path)
	}
	from, keep, current := filepath.Join(dir, s.From), filepath.Join(dir, s.Keep), filepath.Join(dir, inUse)
	if clusterMajor(from) != 0 { // else it is in use already
		if _, err := os.Lstat(current); err == nil {
			if err := rename(current, keep); err != nil {
				return errors.Join(err, os.Remove(path))
			}
		}
		if err := rename(from, current); err != nil {
			return err
		}
	}
	if clusterMajor(current) == 0 {
		return fmt.Errorf("%s names neither a cluster in %s nor in %s: move one of the clusters in %s to %s", path,
			from, current, dir, current)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("complete the switch of clusters: %w", err)
	}
	return strictpath.SyncDir(dir)
}

// rename renames a directory that must not replace another one, and makes that durable.
func rename(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("rename %s: %s exists already", from, to)
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("switch the clusters: %w", err)
	}
	return errors.Join(strictpath.SyncDir(filepath.Dir(from)), strictpath.SyncDir(filepath.Dir(to)))
}
