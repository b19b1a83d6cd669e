package collect

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/agent/internal/guard"
	"github.com/snapwatch/snapwatch/snapshot"
)

// fileSystem is a mounted file system that holds data.
type fileSystem struct {
	device   string
	number   deviceNumber
	fsType   string
	readOnly bool
	// isView is true if it shows the files of other file systems.
	isView bool
	// points are the mount points at which it is visible, joined by pointSeparator.
	points string
	// pool names what it shares its free space with, or is empty.
	pool string
	// counter is the key of its device in the counters, or empty.
	counter string
}

const pointSeparator = "\x00"

// mount returns the mount point that is shown while the file system does not answer.
func (f *fileSystem) mount() string {
	point, _, _ := strings.Cut(f.points, pointSeparator)
	if len(point) > 1 {
		point = strings.TrimSuffix(point, "/")
	}
	return point
}

// space is the space of a file system, in bytes. ok is false if it has none that can be read.
type space struct {
	mount                  string
	ok                     bool
	total, used, available uint64
	blocks, free, files    uint64 // as the file system counts them
}

const (
	// blockWait is how long a sample waits for calls that may block in the kernel. They take microseconds if they do
	// not block.
	blockWait = 500 * time.Millisecond
	// maxBlocked bounds the calls that block, because each keeps a thread.
	maxBlocked = 64
)

// diskReader reads the file systems that hold data, and what their devices transferred.
type diskReader struct {
	logger   *slog.Logger
	table    mountTable
	list     []fileSystem
	spaces   *guard.Group[string, space]
	late     map[string]bool // the mount points of file systems that do not answer
	counters map[string]transferred
}

// transferred is what a device has transferred since the machine booted, in bytes.
type transferred struct{ read, written uint64 }

// newDiskReader returns a reader. read returns the space of a file system, given its mount points.
func newDiskReader(logger *slog.Logger, read func(points string) space) *diskReader {
	return &diskReader{logger: logger, spaces: guard.New(blockWait, maxBlocked, read), late: make(map[string]bool)}
}

// reset makes the next read a first one.
func (r *diskReader) reset() { r.counters = nil }

// read adds the disks to a snapshot: each file system that holds data, once. With refresh it looks for new ones, even
// if the system reports no change.
func (r *diskReader) read(ctx context.Context, m *snapshot.MachineSnapshot, refresh bool) {
	if list := r.table.fileSystems(refresh); list != nil {
		r.list = list
		for i := range list {
			list[i].counter = list[i].counterKey()
		}
		for mount := range r.late {
			if !slices.ContainsFunc(list, func(f fileSystem) bool { return f.mount() == mount }) {
				delete(r.late, mount) // it is unmounted
			}
		}
	}
	points := make([]string, len(r.list))
	for i := range r.list {
		points[i] = r.list[i].points
	}
	results := r.spaces.Read(ctx, points)
	r.reportLate(results)
	before := r.counters
	r.counters = readCounters()
	root, shown := r.shownByRoot(results)
	sums := diskSums{available: make(map[string]uint64)}
	seen := make(map[string]bool, len(r.list))
	for i := range r.list {
		f, result := &r.list[i], &results[i]
		u := &result.Value
		if result.Known && !u.ok || shown[i] {
			continue
		}
		if !result.Known {
			u.mount = f.mount()
		}
		d := snapshot.Disk{
			Device:   clean.Text(f.device, snapshot.MaxTextBytes),
			Mount:    clean.Text(u.mount, snapshot.MaxPathBytes),
			Type:     clean.Text(f.fsType, snapshot.MaxTextBytes),
			ReadOnly: f.readOnly,
		}
		if d.Mount == "" || seen[d.Mount] {
			continue
		}
		seen[d.Mount] = true
		if result.Known {
			d.Total, d.Used, d.Available = clean.Size(u.total), clean.Size(u.used), clean.Size(u.available)
			sums.add(f, u)
		}
		if result.Stale {
			m.Stale = append(m.Stale, d.Mount)
		} else {
			sums.addFullest(m, &d)
		}
		counter := f.counter
		if k := slices.Index(shown, true); i == root && k >= 0 {
			counter = r.list[k].counter
		}
		if now, ok := r.counters[counter]; ok {
			if then, ok := before[counter]; ok {
				d.ReadBytes, d.WriteBytes = increase(now.read, then.read), increase(now.written, then.written)
			}
		}
		m.Disks = append(m.Disks, d)
	}
	sums.store(m)
}

// shownByRoot returns the index of a root that shows the files of other file systems, as in a container, or -1. It
// reports for each file system whether it is one of these: a volume of the container.
func (r *diskReader) shownByRoot(results []guard.Result[space]) (root int, shown []bool) {
	shown = make([]bool, len(r.list))
	root = slices.IndexFunc(r.list, func(f fileSystem) bool { return f.isView })
	if root < 0 {
		return root, shown
	}
	view := &results[root].Value
	for i := range r.list {
		u := &results[i].Value
		shown[i] = i != root && u.ok && view.total == u.total && view.blocks == u.blocks && view.files == u.files &&
			math.Abs(float64(view.free)-float64(u.free)) <= float64(u.blocks)/1000
	}
	return root, shown
}

// reportLate logs which file systems have stopped to answer, and which answer again.
func (r *diskReader) reportLate(results []guard.Result[space]) {
	for i := range r.list {
		mount := r.list[i].mount()
		switch late := results[i].Stale; {
		case late && !r.late[mount]:
			r.late[mount] = true
			r.logger.Warn("a file system does not answer; its last known values are recorded", "mount", mount,
				"device", r.list[i].device, "type", r.list[i].fsType)
		case !late && r.late[mount]:
			delete(r.late, mount)
			r.logger.Info("a file system answers again", "mount", mount)
		}
	}
}

// diskSums adds up the space of the listed disks.
type diskSums struct {
	used  uint64
	known bool
	// available is the free space by the name of what shares it.
	available map[string]uint64
	// reserved is what is neither used nor available, as with ext4.
	reserved uint64
}

func (s *diskSums) add(f *fileSystem, u *space) {
	if u.total > snapshot.MaxSafeInteger || u.used > u.total {
		return
	}
	name := f.pool
	if name == "" {
		name = f.points
	}
	available := min(u.available, u.total-u.used)
	s.known = true
	s.used += u.used
	s.reserved += u.total - u.used - available
	s.available[name] = max(s.available[name], available)
}

func (s *diskSums) addFullest(m *snapshot.MachineSnapshot, d *snapshot.Disk) {
	if d.ReadOnly || d.Used == nil || d.Available == nil || *d.Used+*d.Available == 0 {
		return
	}
	percent := math.Round(10_000*float64(*d.Used)/float64(*d.Used+*d.Available)) / 100
	if m.FullestDiskUsage == nil || percent > *m.FullestDiskUsage {
		m.FullestDiskUsage, m.FullestDisk = &percent, d.Mount
	}
}

func (s *diskSums) store(m *snapshot.MachineSnapshot) {
	if !s.known {
		return
	}
	var available uint64
	for _, n := range s.available {
		available += n
	}
	m.TotalDisk, m.UsedDisk = clean.Size(s.used+s.reserved+available), clean.Size(s.used)
	m.AvailableDisk = clean.Size(available)
}

// CheckFileSystems reads every file system that holds data. It returns how many there are, and the mount points of
// those that do not answer.
func CheckFileSystems(ctx context.Context) (n int, late []string) {
	r := newDiskReader(slog.New(slog.DiscardHandler), spaceOf)
	defer r.table.close()
	var m snapshot.MachineSnapshot
	r.read(ctx, &m, true)
	return len(m.Disks), m.Stale
}
