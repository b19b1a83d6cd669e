package agent

import (
	"context"
	"math"
	"os"
	"strconv"
	"syscall"

	"github.com/snapwatch/snapwatch/snapshot"
)

// procReader reads /proc itself, which costs a small part of what gopsutil takes
// (BenchmarkReaders has the ratios), and knows start times to the 10 ms that the
// kernel gives, where gopsutil rounds to seconds.
//
// What it saves: identities are read once per (pid, start time), and again after exec or,
// with a full snapshot, of a process that has run since. The files of processes that work
// are kept open. And a process that has not run since the sample before is taken to be as
// it was; see quiet.
type procReader struct {
	root     string
	bootMS   int64 // when the machine booted; fixed for a boot, so that start times are
	pageSize int64
	known    map[int32]*procProcess
	users    userNames
	want     wanted
	scrub    *scrubber
	buffer   []byte
	budget   int // descriptors that may still be kept open
	vmstat   keptFile
	reclaims int64 // what vmstat told last
	sized    bool  // the kernel tells the number of open files as the size of a folder
	round    uint64
	turn     uint64 // of those that are looked at though they have not run
	list     []rawProcess
}

// procProcess is what is kept of a process from one sample to the next.
type procProcess struct {
	pid string
	raw rawProcess
	// comm is the kernel's name for it; named is the one its identity was read for.
	comm, named string
	// ran tells that it has run since its identity was read.
	ran bool
	// worked counts the samples in a row in which it ran.
	worked              int
	schedule            []byte // what schedstat told last
	schedstat, stat, io keptFile
	noIO                bool   // we may not read io
	round               uint64 // in which it was seen
}

// ticksPerSecond is USER_HZ, which Linux fixes at 100 for /proc on every
// architecture that Go runs on.
const ticksPerSecond = 100

// turns is in how many full snapshots every process is looked at, whether or not it runs.
const turns = 8

// maxKept bounds the descriptors that are kept open: each takes about 5 KB in the kernel.
const maxKept = 4096

func newProcessReader(stateDir string, scrub *scrubber) (processReader, error) {
	bootMS, err := bootTime("/proc", stateDir)
	if err != nil {
		return nil, err
	}
	return newProcReader("/proc", bootMS, scrub), nil
}

func newProcReader(root string, bootMS int64, scrub *scrubber) *procReader {
	r := &procReader{root: root, scrub: scrub, bootMS: bootMS, pageSize: int64(os.Getpagesize()), budget: maxKept,
		known: make(
			map[int32]*procProcess,
		), users: make(userNames), want: wantedBy(snapshot.Config{}), buffer: make([]byte, 16<<10)}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		r.budget = int(min(maxKept, limit.Cur/2))
	}
	n, err := folderSize(root + "/self/fd")
	r.sized = err == nil && n > 0 // since Linux 6.2
	return r
}

// close gives back the descriptors.
func (r *procReader) close() {
	for pid := range r.known {
		r.drop(pid)
	}
	r.shut(&r.vmstat)
}

// read lists the processes; the list is valid until the next call.
func (r *procReader) read(ctx context.Context, want wanted, refresh bool) ([]rawProcess, error) {
	dir, err := os.Open(r.root)
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close()
	if err != nil {
		return nil, err
	}
	r.round++
	if want != r.want {
		r.want, refresh = want, true
		for _, p := range r.known { // everything is to be read anew
			p.ran = true
			p.schedule = p.schedule[:0]
		}
	}
	if refresh {
		r.turn++
	}
	reclaimed := r.reclaimed()
	r.list = r.list[:0]
	for _, name := range names {
		pid, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		thorough := reclaimed || refresh && (uint64(pid)+r.turn)%turns == 0
		if p := r.process(int32(pid), name, thorough, refresh); p != nil && len(r.list) < snapshot.MaxProcesses {
			r.list = append(r.list, p.raw)
		}
	}
	for pid, p := range r.known {
		if p.round != r.round {
			r.drop(pid)
		}
	}
	r.adopt()
	return r.list, nil
}

// process reads one process; it may have ended by now, which is no error: nil.
func (r *procReader) process(pid int32, name string, thorough, refresh bool) *procProcess {
	p := r.known[pid]
	if p != nil {
		quiet, spent := r.quiet(p), p.raw.cpuMS
		if quiet && !thorough {
			r.rest(p)
			return p
		}
		if r.values(p) {
			// Of several threads only the time that all have spent is known, in ticks.
			p.ran = p.ran || p.raw.cpuMS != spent || p.raw.threads == 1 && !quiet
		} else { // the pid may be another process's by now
			r.drop(pid)
			p = nil
		}
	}
	if p == nil {
		p = &procProcess{pid: name}
		r.known[pid] = p
		r.quiet(p)
		if !r.values(p) {
			r.drop(pid)
			return nil
		}
	}
	if p.round == 0 || p.named != p.comm || refresh && p.ran {
		r.identify(p)
		r.countFiles(p)
	}
	p.round = r.round
	return p
}

// quiet reports whether a process has changed nothing since the sample before, which its
// time on CPUs tells in a quarter of the time that its other files take: a process of one
// thread, asleep then, that has not run. What others do to it is seen otherwise: that its
// parent ends, by adopt; that the kernel takes back memory, by reclaimed. Whatever is
// left (a file that it maps is cut) is seen within so many full snapshots as turns says.
func (r *procReader) quiet(p *procProcess) bool {
	if p.raw.threads > 1 {
		p.schedule = p.schedule[:0]
		return false
	}
	text, err := r.readFile(p, &p.schedstat, "schedstat", true)
	if err != nil {
		p.schedule = p.schedule[:0]
		return false
	}
	same := len(text) > 0 && string(text) == string(p.schedule)
	p.schedule = append(p.schedule[:0], text...)
	asleep := p.raw.state == "S" || p.raw.state == "I" || p.raw.state == "Z" || p.raw.state == "T"
	return same && asleep
}

// rest notes that a process has not run: its amounts are those of before.
func (r *procReader) rest(p *procProcess) {
	p.worked, p.round = 0, r.round
	r.shut(&p.stat)
	r.shut(&p.io)
}

// values reads what a process does; false if it has ended, or is another by now.
func (r *procReader) values(p *procProcess) bool {
	p.worked++
	keep := p.worked > 1
	text, err := r.readFile(p, &p.stat, "stat", keep)
	if err != nil {
		return false
	}
	stat, err := parseStat(text)
	if err != nil {
		return false
	}
	key := snapshot.ProcessKey{PID: stat.pid, StartedAt: snapshot.Time(r.bootMS + stat.startTicks*1000/ticksPerSecond)}
	if p.round != 0 && key != p.raw.ProcessKey {
		return false
	}
	raw := &p.raw
	raw.ProcessKey, raw.PPID, raw.state = key, stat.ppid, stat.state
	raw.cpuMS, raw.memory, raw.threads = (stat.userTicks+stat.systemTicks)*1000/ticksPerSecond, stat.rssPages*r.pageSize, stat.threads
	p.comm = stat.comm
	raw.readBytes, raw.writeBytes = unknown, unknown
	if r.want.io && !p.noIO {
		if text, err := r.readFile(p, &p.io, "io", keep); err == nil {
			raw.readBytes, raw.writeBytes = number(text, "\nread_bytes: "), number(text, "\nwrite_bytes: ")
		} else {
			p.noIO = os.IsPermission(err)
		}
	}
	if !r.want.openFiles {
		raw.openFiles = unknown
	} else if r.sized {
		raw.openFiles = unknown
		if n, err := folderSize(r.root + "/" + p.pid + "/fd"); err == nil && n <= math.MaxInt32 {
			raw.openFiles = int32(n)
		}
	}
	return true
}

// countFiles counts the open files one by one, where the kernel does not tell their number:
// that is dear, so it is done with identities alone.
func (r *procReader) countFiles(p *procProcess) {
	if r.sized || !r.want.openFiles {
		return
	}
	p.raw.openFiles = unknown
	if dir, err := os.Open(r.root + "/" + p.pid + "/fd"); err == nil {
		names, err := dir.Readdirnames(-1)
		_ = dir.Close()
		if err == nil {
			p.raw.openFiles = int32(len(names))
		}
	}
}

// adopt reads the children of ended parents: they have another parent now, without
// having run.
func (r *procReader) adopt() {
	for i := range r.list {
		raw := &r.list[i]
		if raw.PPID == 0 {
			continue
		}
		if parent := r.known[raw.PPID]; parent != nil && parent.raw.StartedAt <= raw.StartedAt {
			continue
		}
		if p := r.known[raw.PID]; p != nil && r.values(p) {
			*raw = p.raw
		}
	}
}

func (r *procReader) drop(pid int32) {
	p := r.known[pid]
	delete(r.known, pid)
	r.shut(&p.schedstat)
	r.shut(&p.stat)
	r.shut(&p.io)
}
