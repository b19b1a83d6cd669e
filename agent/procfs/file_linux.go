package procfs

import (
	"bytes"
	"errors"
	"strconv"
	"syscall"

	"github.com/snapwatch/snapwatch/snapshot"
)

// openFile is a file that may stay open between two reads: opening is a third of the cost of reading a file in /proc.
// The zero openFile is closed.
type openFile struct {
	fd   int32 // valid if open is true; it may be 0
	open bool
}

// singleRead is a size in bytes. The kernel returns a whole file of a process in one read if it is smaller.
const singleRead = 1024

// readFile reads a file of a process into the shared buffer. With keepOpen the file stays open if the budget of
// descriptors allows it.
func (r *Reader) readFile(p *cachedProcess, f *openFile, name string, keepOpen bool) ([]byte, error) {
	if f.open {
		return r.readFrom(int(f.fd))
	}
	return r.openAndRead(f, r.root+"/"+p.pid+"/"+name, keepOpen)
}

func (r *Reader) openAndRead(f *openFile, path string, keepOpen bool) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if keepOpen && r.budget > 0 {
		f.fd, f.open = int32(fd), true
		r.budget--
	} else {
		defer func() { _ = syscall.Close(fd) }()
	}
	return r.readFrom(fd)
}

// readFrom reads a file from its start into the shared buffer.
func (r *Reader) readFrom(fd int) ([]byte, error) { return readInto(fd, r.buffer) }

// readInto reads a file from its start, up to the size of the buffer.
func readInto(fd int, buffer []byte) ([]byte, error) {
	n := 0
	for n < len(buffer) {
		m, err := syscall.Pread(fd, buffer[n:], int64(n))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		n += m
		if m == 0 || n < singleRead {
			break
		}
	}
	return buffer[:n], nil
}

func (r *Reader) close(f *openFile) {
	if f.open {
		_ = syscall.Close(int(f.fd))
		f.open = false
		r.budget++
	}
}

// memoryCounters are the lines of /proc/vmstat that count changes which the kernel makes to the memory of processes: it
// takes pages back, or joins small pages into large ones. See proc_vmstat(5).
var memoryCounters = []string{
	"\npgsteal_kswapd ", "\npgsteal_direct ", "\npgsteal_khugepaged ", "\npgsteal_proactive ", "\npswpout ",
	"\nthp_collapse_alloc ",
}

// memoryReclaimed reports whether the kernel has changed the memory of processes since the last call.
func (r *Reader) memoryReclaimed() bool {
	var text []byte
	var err error
	if r.vmstat.open {
		text, err = r.readFrom(int(r.vmstat.fd))
	} else {
		text, err = r.openAndRead(&r.vmstat, r.root+"/vmstat", true)
	}
	if err != nil {
		return true
	}
	total := int64(0)
	for _, label := range memoryCounters {
		if n := parseNumber(text, label); n > 0 {
			total += n
		}
	}
	changed := total != r.reclaims
	r.reclaims = total
	return changed
}

// parseNumber returns the number after a label, or Unknown if there is none.
func parseNumber(text []byte, label string) int64 {
	i := bytes.Index(text, []byte(label))
	if i < 0 {
		return Unknown
	}
	digits := text[i+len(label):]
	if end := bytes.IndexByte(digits, '\n'); end >= 0 {
		digits = digits[:end]
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || n < 0 || n > snapshot.MaxSafeInteger {
		return Unknown
	}
	return n
}

// folderSize returns the size that the file system reports for a folder.
func folderSize(path string) (int64, error) {
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		return 0, err
	}
	return stat.Size, nil
}
