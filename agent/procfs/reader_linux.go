package procfs

import (
	"bytes"
	"context"
	"iter"
	"math"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/snapwatch/snapwatch/agent/procevents"
	"github.com/snapwatch/snapwatch/snapshot"
)

// Reader lists the processes of this machine. It saves work in three ways:
//
//   - It reads an identity again only after an event that may change it, and within identityAge.
//   - It keeps the files of running processes open.
//   - It skips a process that has not run since the sample before; see unchanged.
//
// A Reader is for one goroutine at a time.
type Reader struct {
	root     string
	boot     bootTimes
	clocks   func() (sinceBoot time.Duration, boot time.Time) // nil if the boot time is fixed
	pageSize int64
	cache    map[int32]*cachedProcess
	users    *Users
	options  Options
	scrubber *Scrubber
	now      func() time.Time
	buffer   []byte
	blocking *blockingFiles
	lines    LineBudget // of the cached command lines
	budget   int        // file descriptors that may still be kept open
	vmstat   openFile
	reclaims int64 // sum of the counters in vmstat at the last read
	// sizedFolders is true if the kernel gives the number of open files as the size of a folder.
	sizedFolders bool
	round        uint64
	// refreshes counts full snapshots; it selects the processes that are read though they have not run.
	refreshes uint64
	list      []Process
	tasks     taskReader
	identities
}

// cachedProcess is the state of a process between two samples.
type cachedProcess struct {
	pid  string
	last Process
	comm string // the kernel's name of the process
	// execID is that of the source of tasks when the identity was read.
	execID uint64
	// cutName is the name of a kernel thread in that source, if it may have been cut. longName is the whole one.
	cutName, longName string
	identified
	// activeSamples counts the samples in a row in which it ran.
	activeSamples int
	schedule      []byte // last content of schedstat
	ioDenied      bool   // the agent may not read io
	kernelThread  bool
	round         uint64 // the last round in which it was listed

	schedstat, stat, statm, io openFile
	ownIO                      ownIO
	exitedCPU                  time.Duration // CPU time of threads that have exited, if one is left
}

const (
	// ticksPerSecond is USER_HZ. Linux fixes it at 100 for /proc on every architecture that Go supports.
	ticksPerSecond = 100

	// refreshCycle is the number of full snapshots within which every process is read, even if it does not run.
	refreshCycle = 8

	// maxOpenFiles bounds the descriptors that are kept open. Each one takes about 5 KB in the kernel.
	maxOpenFiles = 4096

	// bufferSize is the longest part of a file that is read: the longest command line, and what is searched for secrets
	// beyond it.
	bufferSize = snapshot.MaxCommandLineBytes + cutMargin + 1
)

// NewReader returns a reader of this machine's processes. It stores the boot time in stateDir. A nil scrubber leaves
// command lines unchanged.
func NewReader(stateDir string, scrubber *Scrubber, users *Users) (*Reader, error) {
	sinceBoot, boot := readClocks()
	times, err := openBootTimes("/proc", stateDir, sinceBoot, boot)
	if err != nil {
		return nil, err
	}
	r := newReader("/proc", 0, scrubber, users)
	r.boot, r.clocks = times, readClocks
	// Without these events, changes are found within identityAge.
	r.events, _ = procevents.Open(eventBuffer, procevents.Exec, procevents.UID, procevents.Comm)
	return r, nil
}

func newReader(root string, bootMS int64, scrubber *Scrubber, users *Users) *Reader {
	r := &Reader{
		root:     root,
		boot:     fixedBootTime(bootMS),
		pageSize: int64(os.Getpagesize()),
		cache:    make(map[int32]*cachedProcess),
		users:    users,
		options:  everything(),
		scrubber: scrubber,
		now:      time.Now,
		buffer:   make([]byte, bufferSize),
		blocking: newBlockingFiles(),
		lines:    NewLineBudget(maxLineBytes),
		budget:   maxOpenFiles,
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		r.budget = int(min(maxOpenFiles, limit.Cur/2))
	}
	n, err := folderSize(root + "/self/fd")
	r.sizedFolders = err == nil && n > 0 // since Linux 6.2
	return r
}

// Close closes the files that are kept open.
func (r *Reader) Close() {
	for pid := range r.cache {
		r.remove(pid)
	}
	r.close(&r.vmstat)
	r.blocking.close()
	if r.events != nil {
		r.events.Close()
		r.events = nil
	}
}

// Read lists the processes. With refresh it also reads the values of every eighth process that has not run. The list is
// valid until the next call.
func (r *Reader) Read(ctx context.Context, options Options, refresh bool) ([]Process, error) {
	r.round++
	r.followClock(refresh)
	if options != r.options {
		r.options, refresh = options, true
		for _, p := range r.cache { // read everything again
			p.round, p.group = 0, 0
			p.schedule = p.schedule[:0]
		}
	}
	r.prepareIdentities(refresh)
	r.blocking.begin()
	if refresh {
		r.refreshes++
	}
	r.list = r.list[:0]
	read, err := r.readTasks(ctx, refresh)
	if !read {
		err = r.readProc(ctx, refresh)
	}
	if err != nil {
		return nil, err
	}
	for pid, p := range r.cache {
		if p.round != r.round {
			r.remove(pid)
		}
	}
	if !read {
		r.reparent()
	}
	r.settleUsers()
	if r.clocks != nil {
		sinceBoot, _ := r.clocks()
		r.boot.listed = ticksOf(sinceBoot)
	}
	return r.list, nil
}

// readProc lists the processes with the values in /proc.
func (r *Reader) readProc(ctx context.Context, refresh bool) error {
	names, err := processNames(r.root)
	if err != nil {
		return err
	}
	reclaimed := r.memoryReclaimed()
	for pid, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		force := reclaimed || refresh && (uint64(pid)+r.refreshes)%refreshCycle == 0
		if p := r.process(pid, name, force); p != nil {
			r.add(p)
		}
	}
	return nil
}

// processNames returns the folders of processes in /proc by their pids.
func processNames(root string) (iter.Seq2[int32, string], error) {
	dir, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close()
	if err != nil {
		return nil, err
	}
	return func(yield func(int32, string) bool) {
		for _, name := range names {
			pid, err := strconv.ParseInt(name, 10, 32)
			if err == nil && !yield(int32(pid), name) {
				return
			}
		}
	}, nil
}

// add adds a process to the list.
func (r *Reader) add(p *cachedProcess) {
	if len(r.list) < snapshot.MaxProcesses {
		p.last.LateCommandLine = p.lateLine.isBlocked()
		r.list = append(r.list, p.last)
	}
}

// followClock updates the boot time if the clock was set, and stores it. With refresh it repeats a store that failed.
func (r *Reader) followClock(refresh bool) {
	if r.clocks == nil {
		return
	}
	_, boot := r.clocks()
	wasStored := r.boot.stored
	if r.boot.update(boot) {
		for _, p := range r.cache {
			p.last.StartedAt = r.boot.startedAt(p.last.StartTicks)
		}
	}
	if wasStored || refresh {
		_ = r.boot.store() // tried again with the next full snapshot; it only matters if the agent restarts
	}
}

// process reads one process. It returns nil if the process has exited. With force it reads a process that is unchanged.
func (r *Reader) process(pid int32, name string, force bool) *cachedProcess {
	p := r.cache[pid]
	if p != nil {
		unchanged := r.unchanged(p)
		p.ranSinceIdentity = p.ranSinceIdentity || !unchanged
		if unchanged && !force && !r.mayHaveNewIdentity(p) {
			r.skip(p)
			return p
		}
		if !r.readStat(p) { // the pid may belong to another process now
			r.remove(pid)
			p = nil
		}
	}
	if p == nil {
		p = &cachedProcess{pid: name}
		r.cache[pid] = p
		r.unchanged(p)
		if !r.readStat(p) {
			r.remove(pid)
			return nil
		}
	}
	if p.round == 0 || p.identifiedComm != p.comm || r.mayHaveNewIdentity(p) {
		r.identify(p)
		r.countOpenFiles(p)
	} else {
		r.checkCgroupIfDue(p)
	}
	p.round = r.round
	return p
}

// unchanged reports whether nothing has changed in a process since the sample before: it has one thread, which was
// asleep and has not run. Reading schedstat for that takes a quarter of the time that the other files take.
//
// Three changes happen to a process that does not run. The end of its parent is found by reparent, memory that the
// kernel takes back by memoryReclaimed. Anything else, such as the truncation of a file that it maps, is found within
// refreshCycle full snapshots.
func (r *Reader) unchanged(p *cachedProcess) bool {
	if p.last.Threads > 1 {
		p.schedule = p.schedule[:0]
		return false
	}
	text, err := r.readFile(p, &p.schedstat, "schedstat", true)
	if err != nil {
		p.schedule = p.schedule[:0]
		return false
	}
	// A kernel that does not measure this prints zeros.
	same := len(text) > 0 && string(text) == string(p.schedule) && string(text) != "0 0 0\n"
	p.schedule = append(p.schedule[:0], text...)
	asleep := p.last.State == "S" || p.last.State == "I" || p.last.State == "Z" || p.last.State == "T"
	return same && asleep
}

// skip lists a process with the values of the sample before.
func (r *Reader) skip(p *cachedProcess) {
	p.activeSamples, p.round = 0, r.round
	r.checkCgroupIfDue(p)
	r.close(&p.stat)
	r.close(&p.statm)
	r.close(&p.io)
	r.close(&p.ownIO.task)
}

// readStat reads the values of a process. It returns false if the process has exited, or if its pid belongs to another
// process now.
func (r *Reader) readStat(p *cachedProcess) bool {
	p.activeSamples++
	keepOpen := p.activeSamples > 1
	// Before stat: the process has waited for no child yet if stat says so.
	group := r.groupIO(p, keepOpen)
	text, err := r.readFile(p, &p.stat, "stat", keepOpen)
	if err != nil {
		return false
	}
	stat, err := parseStat(text)
	if err != nil {
		return false
	}
	last := &p.last
	if p.round != 0 && (stat.pid != last.PID || stat.startTicks != last.StartTicks) {
		return false
	}
	p.comm, p.kernelThread = stableName(stat.comm, stat.flags), stat.flags&flagKernelThread != 0
	last.PID, last.StartTicks, last.StartedAt = stat.pid, stat.startTicks, r.boot.startedAt(stat.startTicks)
	last.PPID, last.State, last.Threads = stat.ppid, stat.state, stat.threads
	last.CPU, last.ChildCPU, last.ExactChildCPU = p.cpuTime(&stat), ticks(stat.childTicks), false
	last.OneThread = stat.threads == 1 && p.exitedCPU == 0
	last.Memory = r.residentPages(p, &stat, keepOpen) * r.pageSize
	last.ReadBytes, last.WriteBytes = r.ioOf(p, &stat, group, keepOpen)
	if !r.options.OpenFiles {
		last.OpenFiles = Unknown
	} else if r.sizedFolders {
		last.OpenFiles = r.openFiles(p)
	}
	return true
}

// openFiles returns the number of open files on kernels that give it as the size of a folder, or Unknown.
func (r *Reader) openFiles(p *cachedProcess) int32 {
	n, err := folderSize(r.root + "/" + p.pid + "/fd")
	if err != nil || n > math.MaxInt32 {
		return Unknown
	}
	return int32(n)
}

// residentPages returns the size of a process in memory. Since Linux 6.2 the number in stat lacks what single CPUs have
// not added to it yet, up to a few hundred KB for each. Since Linux 6.16 the number in statm is exact.
func (r *Reader) residentPages(p *cachedProcess, stat *procStat, keepOpen bool) int64 {
	if p.kernelThread || stat.state == "Z" {
		return stat.rssPages
	}
	text, err := r.readFile(p, &p.statm, "statm", keepOpen)
	if err != nil {
		return stat.rssPages
	}
	_, text, _ = bytes.Cut(text, []byte{' '}) // after the virtual size
	if end := bytes.IndexByte(text, ' '); end >= 0 {
		text = text[:end]
	}
	pages, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || pages < 0 || pages > snapshot.MaxSafeInteger/r.pageSize {
		return stat.rssPages
	}
	return pages
}

// countOpenFiles counts the open files one by one on kernels that do not give their number. This is expensive, so it is
// done only when an identity is read.
func (r *Reader) countOpenFiles(p *cachedProcess) {
	if r.sizedFolders || !r.options.OpenFiles {
		return
	}
	p.last.OpenFiles = Unknown
	if dir, err := os.Open(r.root + "/" + p.pid + "/fd"); err == nil {
		names, err := dir.Readdirnames(-1)
		_ = dir.Close()
		if err == nil {
			p.last.OpenFiles = int32(len(names))
		}
	}
}

// reparent reads the children of parents that have exited: they have another parent now, though they have not run.
func (r *Reader) reparent() {
	for i := range r.list {
		listed := &r.list[i]
		if listed.PPID == 0 {
			continue
		}
		if parent := r.cache[listed.PPID]; parent != nil && parent.last.StartTicks <= listed.StartTicks {
			continue
		}
		if p := r.cache[listed.PID]; p != nil && r.readStat(p) {
			*listed = p.last
		}
	}
}

// remove closes the files of a process and removes it from the cache.
func (r *Reader) remove(pid int32) {
	p := r.cache[pid]
	delete(r.cache, pid)
	r.lines.Release(p.last.CommandLine)
	r.close(&p.schedstat)
	r.close(&p.stat)
	r.close(&p.statm)
	r.close(&p.io)
	r.close(&p.ownIO.task)
}
