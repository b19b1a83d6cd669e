package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/snapwatch/snapwatch/snapshot"
)

// procReader reads /proc itself: one small file a process and sample, where
// gopsutil reads and parses five (BenchmarkProcessReaders has the ratio), and
// start times to the 10 ms that the kernel gives, where gopsutil rounds to
// seconds. Identities are read once per (pid, start time), and again when the
// kernel's name of the process changes (exec) or on refresh (setproctitle).
type procReader struct {
	root     string
	bootMS   int64 // when the machine booted; fixed for a boot, so that start times are
	pageSize int64
	known    map[snapshot.ProcessKey]*knownProcess
	users    map[uint32]string
	buffer   []byte
}

type knownProcess struct {
	comm     string // what the identity was read for
	identity snapshot.Identity
	seen     bool
}

// ticksPerSecond is USER_HZ, which Linux fixes at 100 for /proc on every
// architecture that Go runs on.
const ticksPerSecond = 100

// maxCommandLine is how much of a command line is kept.
const maxCommandLine = 4096

func newProcessReader(stateDir string) (processReader, error) {
	bootMS, err := bootTime("/proc", stateDir)
	if err != nil {
		return nil, err
	}
	return newProcReader("/proc", bootMS), nil
}

func newProcReader(root string, bootMS int64) *procReader {
	return &procReader{root: root, bootMS: bootMS, pageSize: int64(os.Getpagesize()),
		known: make(map[snapshot.ProcessKey]*knownProcess), users: make(map[uint32]string), buffer: make([]byte, 64<<10)}
}

func (r *procReader) read(ctx context.Context, refresh bool) ([]rawProcess, error) {
	dir, err := os.Open(r.root)
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close()
	if err != nil {
		return nil, err
	}
	list := make([]rawProcess, 0, len(names))
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p, ok := r.process(name, refresh)
		if ok && len(list) < snapshot.MaxProcesses {
			list = append(list, p)
		}
	}
	for key, known := range r.known {
		if !known.seen {
			delete(r.known, key)
		}
		known.seen = false
	}
	return list, nil
}

// process reads one process; it may have ended by now, which is no error.
func (r *procReader) process(pid string, refresh bool) (rawProcess, bool) {
	text, err := r.file(pid, "stat")
	if err != nil {
		return rawProcess{}, false
	}
	stat, err := parseStat(text)
	if err != nil {
		return rawProcess{}, false
	}
	p := rawProcess{state: stat.state, cpuMS: (stat.userTicks + stat.systemTicks) * 1000 / ticksPerSecond,
		memory: stat.rssPages * r.pageSize, threads: stat.threads}
	p.PID, p.StartedAt = stat.pid, snapshot.Time(r.bootMS+stat.startTicks*1000/ticksPerSecond)
	known := r.known[p.ProcessKey]
	if known == nil || known.comm != stat.comm || refresh {
		known = &knownProcess{comm: stat.comm, identity: r.identity(pid, stat.comm)}
		r.known[p.ProcessKey] = known
	}
	known.seen = true
	p.Identity = known.identity
	p.PPID = stat.ppid
	if text, err = r.file(pid, "io"); err == nil {
		p.readBytes, p.writeBytes = ioField(text, "\nread_bytes: "), ioField(text, "\nwrite_bytes: ")
	}
	return p, true
}

// file reads a file of a process into the shared buffer.
func (r *procReader) file(pid, name string) ([]byte, error) {
	fd, err := syscall.Open(r.root+"/"+pid+"/"+name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = syscall.Close(fd) }()
	n := 0
	for n < len(r.buffer) {
		m, err := syscall.Read(fd, r.buffer[n:])
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m == 0 {
			break
		}
		n += m
	}
	return r.buffer[:n], nil
}

// identity reads what does not change from sample to sample.
func (r *procReader) identity(pid, comm string) snapshot.Identity {
	id := snapshot.Identity{Name: comm}
	if text, err := r.file(pid, "cmdline"); err == nil {
		text = bytes.TrimRight(text, "\x00")
		if first, _, _ := bytes.Cut(text, []byte{0}); len(comm) >= 15 {
			// The kernel keeps 15 bytes of a name; the first argument may have the rest.
			if full := filepath.Base(string(first)); strings.HasPrefix(full, comm) {
				id.Name = full
			}
		}
		id.CommandLine = clean(string(bytes.ReplaceAll(text, []byte{0}, []byte{' '})), maxCommandLine)
	}
	if id.Name = clean(id.Name, snapshot.MaxTextBytes); id.Name == "" {
		id.Name = "?"
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(r.root+"/"+pid, &stat); err == nil {
		id.User = r.user(stat.Uid)
	}
	return id
}

func (r *procReader) user(uid uint32) string {
	name, ok := r.users[uid]
	if !ok {
		name = strconv.FormatUint(uint64(uid), 10)
		if found, err := user.LookupId(name); err == nil {
			name = clean(found.Username, snapshot.MaxTextBytes)
		}
		r.users[uid] = name
	}
	return name
}

// procStat is what we use of /proc/[pid]/stat; see proc_pid_stat(5).
type procStat struct {
	pid, ppid, threads     int32
	comm, state            string
	userTicks, systemTicks int64
	startTicks, rssPages   int64
}

// parseStat reads the line "pid (comm) state ppid …". The name may hold anything,
// parentheses and blanks too, so it ends at the last parenthesis.
func parseStat(text []byte) (procStat, error) {
	open, shut := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 2 || shut < open || len(text) < shut+4 {
		return procStat{}, errors.New("no name in parentheses")
	}
	s := procStat{comm: string(text[open+1 : shut]), state: string(text[shut+2 : shut+3])}
	if c := s.state[0] | 0x20; c < 'a' || c > 'z' {
		s.state = ""
	}
	pid, err := strconv.ParseInt(string(text[:open-1]), 10, 32)
	if err != nil {
		return procStat{}, fmt.Errorf("pid: %w", err)
	}
	s.pid = int32(pid)
	// Fields are numbered from 1 as in the manual; ppid, the 4th, comes first.
	field, at := 4, shut+4
	for at < len(text) && field <= 24 {
		end := at
		for end < len(text) && text[end] != ' ' && text[end] != '\n' {
			end++
		}
		var target *int64
		var narrow *int32
		switch field {
		case 4:
			narrow = &s.ppid
		case 14:
			target = &s.userTicks
		case 15:
			target = &s.systemTicks
		case 20:
			narrow = &s.threads
		case 22:
			target = &s.startTicks
		case 24:
			target = &s.rssPages
		}
		if target != nil || narrow != nil {
			n, err := strconv.ParseInt(string(text[at:end]), 10, 64)
			if err != nil {
				return procStat{}, fmt.Errorf("field %d: %w", field, err)
			}
			if n = max(n, 0); target != nil {
				*target = n
			} else {
				*narrow = int32(n)
			}
		}
		field, at = field+1, end+1
	}
	if field <= 24 {
		return procStat{}, fmt.Errorf("it ends at field %d", field-1)
	}
	return s, nil
}

// ioField finds a number in /proc/[pid]/io; see proc_pid_io(5).
func ioField(text []byte, label string) *int64 {
	i := bytes.Index(text, []byte(label))
	if i < 0 {
		return nil
	}
	digits, _, _ := bytes.Cut(text[i+len(label):], []byte{'\n'})
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || n < 0 || n > snapshot.MaxAmount {
		return nil
	}
	return &n
}

// bootTime returns when the machine booted, in milliseconds since 1970. The
// kernel's own figure (btime) moves by a second whenever the clock is corrected,
// and every start time, and so every process's identity, would move with it: so
// the first figure of a boot is kept in the state directory.
func bootTime(root, stateDir string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(root, "stat"))
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(text, []byte("\nbtime "))
	if !ok {
		return 0, errors.New("/proc/stat has no btime")
	}
	digits, _, _ := bytes.Cut(rest, []byte{'\n'})
	seconds, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read btime: %w", err)
	}
	bootMS := seconds * 1000
	bootID, err := os.ReadFile(filepath.Join(root, "sys/kernel/random/boot_id"))
	if err != nil {
		return bootMS, nil //nolint:nilerr // an odd /proc: start times may move by a second, nothing worse
	}
	id := strings.TrimSpace(string(bootID))
	path := filepath.Join(stateDir, "boot")
	if kept, err := os.ReadFile(path); err == nil {
		if keptID, keptMS, ok := strings.Cut(strings.TrimSpace(string(kept)), " "); ok && keptID == id {
			if ms, err := strconv.ParseInt(keptMS, 10, 64); err == nil {
				return ms, nil
			}
		}
	}
	if err := writeState(path, id+" "+strconv.FormatInt(bootMS, 10)+"\n"); err != nil {
		return 0, fmt.Errorf("keep the boot time: %w", err)
	}
	return bootMS, nil
}
