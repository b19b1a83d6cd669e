package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Inspection is the state of the private cluster in a directory.
type Inspection struct {
	Dir string
	// Major is the major version of the cluster, 0 if there is none that the current user can access.
	Major int
	// BinDir has the programs of the cluster's version. If there are none, Missing says so.
	BinDir  string
	Missing error
	// Running reports whether the postmaster runs, and Replaced whether its program is no longer the installed one.
	Running, Replaced bool
	// Disk is the space of the fullest file system, and Tables that of the one with the tables.
	Disk, Tables Disk
	// Log is the path of the cluster's log.
	Log string
}

// Inspect returns the state of the cluster in a directory. It starts, stops and changes nothing.
func Inspect(ctx context.Context, dir, binDir string) (Inspection, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Inspection{}, fmt.Errorf("resolve the data directory: %w", err)
	}
	c := &Cluster{cfg: Config{Dir: abs}}
	found := Inspection{Dir: abs, Major: clusterMajor(c.data()), Log: c.logPath()}
	found.BinDir, found.Missing = findBinaries(binDir, found.Major)
	c.bin = found.BinDir
	if isRunning, err := c.isRunning(); err == nil && isRunning {
		found.Running = true
	}
	if pid, err := c.PID(); err == nil && found.Running {
		found.Replaced = c.isMoved() || c.isReplaced(pid)
	}
	existing := abs
	for existing != filepath.Dir(existing) {
		if _, err := os.Stat(existing); err == nil {
			break
		}
		existing = filepath.Dir(existing)
	}
	if existing != abs {
		found.Disk, err = measureDisk(ctx, existing)
		found.Tables = found.Disk
		return found, err
	}
	disks, err := measureDisks(ctx, abs, nil)
	if err != nil {
		return found, err
	}
	found.Disk, found.Tables = fullest(disks), disks[0]
	if _, err := os.Stat(c.data()); err == nil {
		found.Tables, err = measureDisk(ctx, c.data())
		return found, err
	}
	return found, nil
}
