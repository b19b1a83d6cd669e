package agent

import (
	"bytes"
	"errors"
	"strconv"
	"syscall"

	"github.com/snapwatch/snapwatch/snapshot"
)

// keptFile is a file that may be kept open to be read again: a third of what reading a
// file of /proc costs is to open it. The zero keptFile is closed.
type keptFile struct {
	// fd is never 0 where it is open: that is standard input, which the runtime opens.
	fd int
}

// readFile reads a file of a process into the shared buffer, and keeps it open if that is
// wanted and the budget has room.
func (r *procReader) readFile(p *procProcess, f *keptFile, name string, keep bool) ([]byte, error) {
	if f.fd != 0 {
		return r.readFrom(f.fd)
	}
	return r.openAndRead(f, r.root+"/"+p.pid+"/"+name, keep)
}

func (r *procReader) openAndRead(f *keptFile, path string, keep bool) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if keep && r.budget > 0 {
		f.fd = fd
		r.budget--
	} else {
		defer func() { _ = syscall.Close(fd) }()
	}
	return r.readFrom(fd)
}

// readFrom reads a file from its start, up to the size of the buffer.
func (r *procReader) readFrom(fd int) ([]byte, error) {
	n := 0
	for n < len(r.buffer) {
		m, err := syscall.Pread(fd, r.buffer[n:], int64(n))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		n += m
		if m == 0 || n < shortFile {
			break
		}
	}
	return r.buffer[:n], nil
}

// shortFile is what the kernel gives at once of the files of a process: no more follows.
const shortFile = 1024

func (r *procReader) shut(f *keptFile) {
	if f.fd != 0 {
		_ = syscall.Close(f.fd)
		f.fd = 0
		r.budget++
	}
}

// reclaimed reports whether the kernel has changed the memory of processes since it was
// asked last: taken back pages, or joined small ones to large ones. See proc_vmstat(5).
func (r *procReader) reclaimed() bool {
	var text []byte
	var err error
	if r.vmstat.fd != 0 {
		text, err = r.readFrom(r.vmstat.fd)
	} else {
		text, err = r.openAndRead(&r.vmstat, r.root+"/vmstat", true)
	}
	if err != nil {
		return true
	}
	total := int64(0)
	for _, label := range []string{"\npgsteal_kswapd ", "\npgsteal_direct ", "\npgsteal_khugepaged ", "\npgsteal_proactive ", "\npswpout ", "\nthp_collapse_alloc "} {
		if n := number(text, label); n > 0 {
			total += n
		}
	}
	changed := total != r.reclaims
	r.reclaims = total
	return changed
}

// number finds the number after a label; unknown where there is none.
func number(text []byte, label string) int64 {
	i := bytes.Index(text, []byte(label))
	if i < 0 {
		return unknown
	}
	digits := text[i+len(label):]
	if end := bytes.IndexByte(digits, '\n'); end >= 0 {
		digits = digits[:end]
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || n < 0 || n > snapshot.MaxSafeInteger {
		return unknown
	}
	return n
}

// folderSize returns the size that the file system tells of a folder.
func folderSize(path string) (int64, error) {
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		return 0, err
	}
	return stat.Size, nil
}
