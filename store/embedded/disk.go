package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/shirou/gopsutil/v3/disk"
)

// DiskLevel says how much space the file system of the data directory has left.
type DiskLevel int

// The levels.
const (
	// DiskUnknown means that the space could not be measured.
	DiskUnknown DiskLevel = iota
	// DiskOK means that there is enough space.
	DiskOK
	// DiskLow means that the space is nearly used up.
	DiskLow
	// DiskFull means that snapshots must not be stored any more: PostgreSQL needs the rest for itself.
	DiskFull
)

// Disk is the space of the file system of the data directory, in bytes.
type Disk struct {
	Level       DiskLevel
	Free, Total uint64
	// Required is the free space below which the level is DiskFull.
	Required uint64
}

// Describe returns what a level other than DiskOK means, for people.
func (d Disk) Describe() string {
	switch d.Level {
	case DiskFull:
		return fmt.Sprintf("the disk of the database has %d MiB left, and snapshots are refused below %d MiB",
			d.Free>>20, d.Required>>20)
	case DiskLow:
		return fmt.Sprintf("the disk of the database has %d MiB left; snapshots will be refused below %d MiB",
			d.Free>>20, d.Required>>20)
	case DiskOK, DiskUnknown:
	}
	return ""
}

const (
	// A twentieth of the file system must be free, but not less than minRequired and not more than maxRequired bytes.
	requiredShare = 20
	minRequired   = 64 << 20
	maxRequired   = 2 << 30
	// reserveBytes is the size of the reserve file. After a crash on a full disk, PostgreSQL needs space for some
	// segments of its log of 16 MiB each.
	reserveBytes = 64 << 20
)

// measureDisk measures the file system of the data directory. previous is the last measurement: a full disk must have a
// quarter more space than required before its level changes, so that the level does not alternate.
func measureDisk(ctx context.Context, dir string, previous DiskLevel) (Disk, error) {
	usage, err := disk.UsageWithContext(ctx, dir)
	if err != nil {
		return Disk{}, fmt.Errorf("measure free space: %w", err)
	}
	return diskOf(usage.Free, usage.Total, previous), nil
}

// diskOf returns the level of a file system.
func diskOf(free, total uint64, previous DiskLevel) Disk {
	required := min(max(total/requiredShare, minRequired), maxRequired)
	d := Disk{Free: free, Total: total, Required: required, Level: DiskOK}
	switch {
	case free < required, previous == DiskFull && free < required+required/4:
		d.Level = DiskFull
	case free < 2*required:
		d.Level = DiskLow
	}
	return d
}

func (c *Cluster) reservePath() string { return filepath.Join(c.cfg.Dir, "reserve") }

// keepReserve creates the reserve file if there is room for it. The file takes space that only a restart on a full disk
// may use.
func (c *Cluster) keepReserve(d Disk) error {
	if d.Level == DiskFull || d.Level == DiskUnknown || d.Free < d.Required+reserveBytes {
		return nil
	}
	if info, err := os.Lstat(c.reservePath()); err == nil && info.Size() == reserveBytes {
		return nil
	}
	unfinished := c.reservePath() + ".new"
	defer func() { _ = os.Remove(unfinished) }()
	file, err := os.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("create the disk reserve: %w", err)
	}
	zeros := make([]byte, 1<<20)
	for range reserveBytes / len(zeros) {
		if _, err := file.Write(zeros); err != nil {
			_ = file.Close()
			return fmt.Errorf("create the disk reserve: %w", err)
		}
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("create the disk reserve: %w", err)
	}
	return os.Rename(unfinished, c.reservePath())
}

// releaseReserve removes the reserve file, and reports whether there was one.
func (c *Cluster) releaseReserve() bool { return os.Remove(c.reservePath()) == nil }
