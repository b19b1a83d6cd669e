package embedded

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/shirou/gopsutil/v3/disk"
)

// DiskLevel says how much space the file systems of the cluster have left.
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

// Disk is the space of the file systems of the cluster. If there are several, its values are those of the fullest one.
type Disk struct {
	// Level is the higher one of the levels of bytes and inodes.
	Level DiskLevel
	// Path is a directory on the file system that Free, Total and Required describe, in bytes.
	Path        string
	Free, Total uint64
	// Required is the free space below which the level is DiskFull.
	Required uint64
	space    DiskLevel // of the bytes alone
	reserve  string    // directory for the disk reserve
	// Inodes are those of the file system that has the fewest left.
	Inodes Inodes
}

// Inodes are the inodes of a file system. A file system without a limit of inodes has the level DiskUnknown, and all
// numbers are 0.
type Inodes struct {
	Level       DiskLevel
	Path        string
	Free, Total uint64
	// Required is the number of free inodes below which the level is DiskFull.
	Required uint64
}

// Describe returns what a level other than DiskOK means, for people.
func (d Disk) Describe() string {
	left, required, path := fmt.Sprintf("%d MiB", d.Free>>20), fmt.Sprintf("%d MiB", d.Required>>20), d.Path
	if n := d.Inodes; n.Level == d.Level && d.space < d.Level {
		left, required, path = fmt.Sprintf("%d inodes", n.Free), fmt.Sprintf("%d inodes", n.Required), n.Path
	}
	if path != "" {
		path = " in " + path
	}
	switch d.Level {
	case DiskFull:
		return fmt.Sprintf("the disk of the database has %s left%s, and snapshots are refused below %s", left, path,
			required)
	case DiskLow:
		return fmt.Sprintf("the disk of the database has %s left%s; snapshots will be refused below %s", left, path,
			required)
	case DiskOK, DiskUnknown:
	}
	return ""
}

const (
	// A twentieth of the file system must be free, but not less than minRequired and not more than maxRequired bytes.
	requiredShare = 20
	minRequired   = 64 << 20
	maxRequired   = 2 << 30
	// The same share of the inodes must be free, with these bounds.
	minRequiredInodes = 512
	maxRequiredInodes = 16384
	// reserveBytes is the size of the reserve file. After a crash on a full disk, PostgreSQL needs space for some
	// segments of its log of 16 MiB each.
	reserveBytes = 64 << 20
	// reserveInodes is the number of empty files in the directory of the reserve. PostgreSQL creates some files when it
	// starts.
	reserveInodes = 256
)

// volume is a file system with files of the cluster.
type volume struct {
	// path is a directory of the cluster on it, and reserve the directory for the disk reserve.
	path, reserve string
	device        uint64
}

// volumes returns the file systems of the cluster in a data directory: that of the data directory itself and, if they
// are others, those of PostgreSQL's directory, of its write-ahead log and of its tablespaces. What is missing or not
// accessible is left out.
func volumes(dir string) []volume {
	data := filepath.Join(dir, inUse)
	wal := filepath.Join(data, "pg_wal")
	tablespaces, _ := filepath.Glob(filepath.Join(data, "pg_tblspc", "*")) // the pattern is valid
	found := []volume{{path: dir, reserve: dir}}
	found[0].device, _ = deviceOf(dir)
	for _, path := range append([]string{data, wal}, tablespaces...) {
		device, err := deviceOf(path)
		if err != nil {
			continue
		}
		i := slices.IndexFunc(found, func(v volume) bool { return v.device == device })
		switch {
		case i < 0:
			found = append(found, volume{path, path, device})
		case i > 0 && path == wal: // a backup copies what is in PostgreSQL's directory, but not its log
			found[i].reserve = wal
		}
	}
	return found
}

// measureDisks measures the file systems of the cluster in a data directory. previous is the last measurement.
func measureDisks(ctx context.Context, dir string, previous []Disk) ([]Disk, error) {
	var measured []Disk
	for _, v := range volumes(dir) {
		now, err := measureDisk(ctx, v.path)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(previous, func(d Disk) bool { return d.Path == v.path }); i >= 0 {
			now = diskOf(now, previous[i])
		}
		now.reserve = v.reserve
		measured = append(measured, now)
	}
	return measured, nil
}

// measureDisk measures the file system of a directory.
func measureDisk(ctx context.Context, dir string) (Disk, error) {
	usage, err := disk.UsageWithContext(ctx, dir)
	if err != nil {
		return Disk{}, fmt.Errorf("measure the free space of %s: %w", dir, err)
	}
	found := Disk{Path: dir, Free: usage.Free, Total: usage.Total}
	if usage.InodesFree <= usage.InodesTotal { // else the file system does not report them
		found.Inodes = Inodes{Path: dir, Free: usage.InodesFree, Total: usage.InodesTotal}
	}
	return diskOf(found, Disk{}), nil
}

// diskOf returns a measurement with its levels and what is required. previous is the last measurement of the same file
// system.
func diskOf(d, previous Disk) Disk {
	d.Required = min(max(d.Total/requiredShare, minRequired), maxRequired)
	d.space = levelOf(d.Free, d.Required, previous.space)
	if d.Inodes.Total > 0 {
		d.Inodes.Required = min(max(d.Inodes.Total/requiredShare, minRequiredInodes), maxRequiredInodes)
		d.Inodes.Level = levelOf(d.Inodes.Free, d.Inodes.Required, previous.Inodes.Level)
	}
	d.Level = max(d.space, d.Inodes.Level)
	return d
}

// levelOf returns the level of a number of free bytes or inodes. previous is the last level: a full disk must have a
// quarter more than required before its level changes, so that the level does not alternate.
func levelOf(free, required uint64, previous DiskLevel) DiskLevel {
	switch {
	case free < required, previous == DiskFull && free < required+required/4:
		return DiskFull
	case free < 2*required:
		return DiskLow
	}
	return DiskOK
}

// fullest returns the values of the file systems with the fewest free bytes and inodes, compared with what is required.
func fullest(all []Disk) Disk {
	if len(all) == 0 {
		return Disk{}
	}
	found := slices.MinFunc(all, func(a, b Disk) int {
		return cmp.Or(cmp.Compare(b.space, a.space), cmp.Compare(share(a.Free, a.Required), share(b.Free, b.Required)))
	})
	found.Inodes = slices.MinFunc(all, func(a, b Disk) int {
		return cmp.Or(
			cmp.Compare(b.Inodes.Level, a.Inodes.Level),
			cmp.Compare(share(a.Inodes.Free, a.Inodes.Required), share(b.Inodes.Free, b.Inodes.Required)),
		)
	}).Inodes
	found.Level = max(found.space, found.Inodes.Level)
	return found
}

// share returns free in relation to required.
func share(free, required uint64) float64 { return float64(free) / float64(max(required, 1)) }
