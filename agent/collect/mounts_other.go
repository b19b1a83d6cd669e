//go:build !linux

package collect

import (
	"context"
	"path/filepath"

	"github.com/shirou/gopsutil/v3/disk"
)

// deviceNumber is empty on systems other than Linux.
type deviceNumber string

// mountTable lists the mounts of this machine.
type mountTable struct{ read bool }

// fileSystems returns the file systems that hold data, or nil without refresh.
func (t *mountTable) fileSystems(refresh bool) []fileSystem {
	if t.read && !refresh {
		return nil
	}
	t.read = true
	partitions, _ := disk.PartitionsWithContext(context.Background(), false)
	if len(partitions) == 0 {
		partitions = []disk.PartitionStat{{Mountpoint: "/"}}
	}
	seen := make(map[string]bool, len(partitions))
	var list []fileSystem
	for _, p := range partitions {
		key := p.Device
		if key == "" {
			key = p.Mountpoint
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		list = append(list, fileSystem{device: p.Device, fsType: p.Fstype, points: p.Mountpoint})
	}
	return list
}

func (t *mountTable) close() {}

// spaceOf returns the space of a file system.
func spaceOf(point string) space {
	u, err := disk.UsageWithContext(context.Background(), point)
	if err != nil || u.Total == 0 {
		return space{}
	}
	return space{mount: point, ok: true, total: u.Total, used: u.Used, available: u.Free}
}

// readCounters returns what each block device has transferred, by its name.
func readCounters() map[string]transferred {
	read, _ := disk.IOCountersWithContext(context.Background())
	counters := make(map[string]transferred, len(read))
	for name, c := range read {
		counters[name] = transferred{c.ReadBytes, c.WriteBytes}
	}
	return counters
}

// counterKey returns the name of a file system's device in the counters.
func (f *fileSystem) counterKey() string { return filepath.Base(f.device) }
