package collect

import (
	"bytes"
	"cmp"
	"errors"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/snapshot"
)

// mountTable reads the mounts of this process.
type mountTable struct {
	// fd is /proc/self/mountinfo, or 0. It is kept open because the kernel reports changes to it. An os.File would not
	// work: Go's poller would consume the reports.
	fd   int
	text []byte
	// needsDevice has the types of file systems that are on block devices.
	needsDevice map[string]bool
	fixed       bool // tests have other mounts
}

// fileSystems returns the file systems that hold data, or nil if they have not changed since the last call. With
// refresh, they are always read.
func (t *mountTable) fileSystems(refresh bool) []fileSystem {
	if t.fixed {
		return nil
	}
	if t.fd == 0 {
		fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil
		}
		t.fd, refresh = fd, true
	}
	// The kernel marks the file as changed once for each change. See proc_pid_mountinfo(5).
	polled := []unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLPRI}}
	if n, err := unix.Poll(polled, 0); n > 0 || err != nil {
		refresh = true
	}
	if !refresh {
		return nil
	}
	if text, err := os.ReadFile("/proc/filesystems"); err == nil {
		t.needsDevice = parseFileSystemTypes(text)
	}
	t.text = t.text[:0]
	for {
		t.text = slices.Grow(t.text, 4096)
		n, err := unix.Pread(t.fd, t.text[len(t.text):cap(t.text)], int64(len(t.text)))
		if err != nil {
			return nil
		}
		if n == 0 {
			break
		}
		t.text = t.text[:len(t.text)+n]
	}
	return selectFileSystems(parseMounts(t.text), t.needsDevice)
}

func (t *mountTable) close() {
	if t.fd != 0 {
		_ = unix.Close(t.fd)
		t.fd = 0
	}
}

// mount is a line of /proc/self/mountinfo. See proc_pid_mountinfo(5).
type mount struct {
	id, parent int
	number     deviceNumber // of the file system; each mount of it has the same
	root       string       // the directory of the file system that is mounted
	point      string
	fsType     string
	source     string
	readOnly   bool // the file system cannot be written, through no mount
}

// deviceNumber is a major and a minor number, as "8:1".
type deviceNumber string

// isAnonymous reports whether the number is not that of a block device.
func (n deviceNumber) isAnonymous() bool { return strings.HasPrefix(string(n), "0:") }

// isLoop reports whether the number is that of a loop device, which is a file.
func (n deviceNumber) isLoop() bool { return strings.HasPrefix(string(n), "7:") }

func parseMounts(text []byte) []mount {
	var mounts []mount
	for line := range bytes.Lines(text) {
		before, after, found := strings.Cut(strings.TrimSuffix(string(line), "\n"), " - ")
		fields, rest := strings.Split(before, " "), strings.Split(after, " ")
		if !found || len(fields) < 6 || len(rest) < 2 {
			continue
		}
		id, err1 := strconv.Atoi(fields[0])
		parent, err2 := strconv.Atoi(fields[1])
		if err1 != nil || err2 != nil {
			continue
		}
		m := mount{
			id: id, parent: parent, number: deviceNumber(fields[2]),
			root: unescapeMount(fields[3]), point: unescapeMount(fields[4]),
			fsType: unescapeMount(rest[0]), source: unescapeMount(rest[1]),
		}
		if len(rest) > 2 {
			m.readOnly = rest[2] == "ro" || strings.HasPrefix(rest[2], "ro,")
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// unescapeMount replaces the octal escapes of spaces, tabs, newlines, backslashes and number signs.
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out, i = append(out, byte(c)), i+3
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// parseFileSystemTypes returns the types in /proc/filesystems that need a block device.
func parseFileSystemTypes(text []byte) map[string]bool {
	types := make(map[string]bool)
	for line := range bytes.Lines(text) {
		if name, found := strings.CutPrefix(strings.TrimSpace(string(line)), "nodev"); !found {
			types[name] = true
		}
	}
	return types
}

// selectFileSystems returns the file systems that hold data, in the order of their first mount. Each is listed once,
// with the mount points at which it is visible.
func selectFileSystems(mounts []mount, needsDevice map[string]bool) []fileSystem {
	visible := visibleMounts(mounts)
	index := make(map[string]int)
	var list []fileSystem
	var points [][]mountPoint
	for i := range mounts {
		m := &mounts[i]
		if !visible[i] || !holdsData(m, needsDevice) {
			continue
		}
		key := string(m.number)
		if isRemote(m) && !isFUSE(m) { // each mount of a share may have its own number
			if _, known := index[key]; !known {
				key = m.fsType + " " + m.source + " " + m.root
			}
		}
		k, known := index[key]
		if !known {
			if len(list) == snapshot.MaxDevices {
				continue
			}
			k = len(list)
			index[key], index[string(m.number)] = k, k
			points = append(points, nil)
			list = append(list, fileSystem{
				device: m.source, number: m.number, fsType: m.fsType, readOnly: m.readOnly, isView: isView[m.fsType],
				pool: poolOf(m),
			})
		}
		points[k] = append(points[k], m.mountPoint())
	}
	for k := range list {
		list[k].points = encodePoints(points[k])
	}
	return list
}

// mountPoint is a place at which a file system is mounted.
type mountPoint struct {
	path string
	// rank orders the mount points of a file system: the root, then those of the whole file system, then others.
	rank int
}

const (
	rankRoot = iota
	rankWhole
	rankPart

	// maxMountPoints bounds the mount points that are tried for a file system.
	maxMountPoints = 16
)

func (m *mount) mountPoint() mountPoint {
	switch {
	case m.point == "/":
		return mountPoint{"/", rankRoot}
	case m.root == "/":
		return mountPoint{m.point, rankWhole}
	}
	return mountPoint{m.point, rankPart}
}

// encodePoints encodes mount points for spaceOf. The root of a file system is certainly a directory, and ends with /.
func encodePoints(points []mountPoint) string {
	slices.SortStableFunc(points, func(a, b mountPoint) int { return cmp.Compare(a.rank, b.rank) })
	var encoded []string
	for _, p := range points[:min(len(points), maxMountPoints)] {
		if p.rank == rankWhole {
			p.path += "/"
		}
		encoded = append(encoded, p.path)
	}
	return strings.Join(encoded, pointSeparator)
}

// visibleMounts reports for each mount whether its mount point leads to it, and to no mount above it.
func visibleMounts(mounts []mount) []bool {
	byID := make(map[int]int, len(mounts))
	points := make(map[int]map[string]bool, len(mounts)) // the mount points in each mount
	for i := range mounts {
		m := &mounts[i]
		byID[m.id] = i
		if points[m.parent] == nil {
			points[m.parent] = make(map[string]bool)
		}
		points[m.parent][m.point] = true
	}
	const unknown, hidden, reachable = 0, 1, 2
	states := make([]int8, len(mounts))
	var reach func(i, depth int) bool
	reach = func(i, depth int) bool {
		if states[i] != unknown || depth > len(mounts) {
			return states[i] == reachable
		}
		m := &mounts[i]
		states[i] = reachable
		if parent, found := byID[m.parent]; found && parent != i && !reach(parent, depth+1) {
			states[i] = hidden
			return false
		}
		for dir := m.point; dir != "/" && dir != "."; {
			if dir = filepath.Dir(dir); points[m.parent][dir] && m.parent != m.id {
				// Another mount covers a folder on the way. If it was there first, it would be the parent.
				states[i] = hidden
				return false
			}
		}
		return true
	}
	visible := make([]bool, len(mounts))
	for i := range mounts {
		visible[i] = reach(i, 0) && !points[mounts[i].id][mounts[i].point]
	}
	return visible
}

// Types of file systems. Others are those of block devices and of FUSE.
var (
	// images are read-only archives. They are always full.
	images = setOf("squashfs", "erofs", "cramfs", "romfs", "iso9660", "fuse.squashfuse", "fuse.squashfuse_ll",
		"fuse.snapfuse", "fuse.fuseiso", "fuse.erofsfuse", "fuse.archivemount", "fuse.ratarmount")
	// isView has the types that show files of other file systems, or none. They count only at the root.
	isView = setOf("overlay", "aufs", "unionfs", "fuse.fuse-overlayfs", "fuse.mergerfs", "fuse.bindfs", "fuse.unionfs",
		"fuse.unionfs-fuse", "fuse.encfs", "fuse.gocryptfs", "fuse.securefs", "fuse.cryfs", "fuse.rofiles-fuse",
		"fuse.lxcfs", "fuse.gvfsd-fuse", "fuse.portal")
	// network are the types of network file systems, and of those that other hosts of a virtual machine share.
	network = setOf("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "ceph", "afs", "coda", "lustre", "gpfs",
		"beegfs", "fhgfs", "orangefs", "pvfs2", "acfs", "panfs", "virtiofs", "vboxsf", "prl_fs", "vmhgfs", "drvfs")
	// local are the types that hold data without a block device of their own.
	local = setOf("zfs", "btrfs", "bcachefs", "ubifs", "jffs2", "yaffs2")
)

func setOf(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// holdsData reports whether a mounted file system is a disk that can fill. docs/agent.md describes the rule.
func holdsData(m *mount, needsDevice map[string]bool) bool {
	switch {
	case images[m.fsType], m.fsType == "udf" && m.readOnly, m.number.isLoop() && m.readOnly,
		strings.HasSuffix(strings.ToLower(m.fsType), ".appimage"):
		return false
	case m.point == "/":
		return true
	case isView[m.fsType]:
		return false
	}
	return !m.number.isAnonymous() || local[m.fsType] || needsDevice[m.fsType] || isRemote(m)
}

// isRemote reports whether another machine, or a program, stores the data.
func isRemote(m *mount) bool {
	return network[m.fsType] || isFUSE(m) && !isView[m.fsType] ||
		m.number.isAnonymous() && strings.Contains(m.source, ":/")
}

// isFUSE reports whether a program provides the file system. Each start of the program makes another file system, with
// a number of its own. Many programs set the same source for all of them.
func isFUSE(m *mount) bool { return m.fsType == "fuse" || strings.HasPrefix(m.fsType, "fuse.") }

// poolOf returns the name of what a file system shares its free space with, or "" if that is only its own.
func poolOf(m *mount) string {
	if m.fsType != "zfs" {
		return ""
	}
	pool, _, _ := strings.Cut(m.source, "/")
	return "zfs " + pool
}

// spaceOf returns the space of a file system at the first of its mount points that is a directory. Containers mount
// single files of their host's file systems.
func spaceOf(points string) space {
	for point := range strings.SplitSeq(points, pointSeparator) {
		path, whole := strings.CutSuffix(point, "/")
		if path == "" {
			path = "/"
		}
		if !whole {
			var stat unix.Stat_t
			if err := unix.Stat(path, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFDIR {
				continue
			}
		}
		var stat unix.Statfs_t
		if err := retried(func() error { return unix.Statfs(path, &stat) }); err != nil || stat.Blocks == 0 {
			continue
		}
		size := uint64(stat.Frsize)
		return space{
			mount: path, ok: true, total: product(stat.Blocks, size), used: product(stat.Blocks-stat.Bfree, size),
			available: product(stat.Bavail, size), blocks: stat.Blocks, free: stat.Bfree, files: stat.Files,
		}
	}
	return space{}
}

// retried calls a function again if a signal interrupted it.
func retried(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// product returns a × b, or the largest number if that is too large.
func product(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	if high != 0 {
		return ^uint64(0)
	}
	return low
}
