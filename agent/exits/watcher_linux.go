package exits

import (
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/agent/procevents"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/snapshot"
)

// drainEvery is how often exit records are read from the kernel. It buffers about fourteen thousand of them: each takes
// 2.3 KB of receiveBuffer.
const drainEvery = time.Second

// maxGroups bounds the running processes whose exited threads are stored.
const maxGroups = 10_000

// Watcher collects the kernel's records of threads that exit. It is safe for concurrent use.
type Watcher struct {
	fd      int
	family  uint16
	since   time.Time // every record since then was received
	tick    time.Duration
	stop    chan struct{}
	stopped sync.WaitGroup
	execs   *execWatcher // nil if the kernel sends no process events

	mu      sync.Mutex
	groups  map[uint32]*threadTotals // by process: its threads that have exited
	pending []Process
	lines   procfs.LineBudget // of the command lines in pending
	starts  *startWatcher     // nil if the kernel sends no process events
	missed  int64
	lossy   bool      // the kernel dropped some records
	lostAt  time.Time // when that was last found
	users   *procfs.Users
	buffer  []byte
}

// threadTotals is what the exited threads of a process used.
type threadTotals struct {
	cpu, cpuMin, cpuMax   time.Duration
	readBytes, writeBytes int64
	peakMemory            int64
	ticks                 time.Duration // a tick for each thread
	ends                  threadEnds
}

// Watch starts to collect exit records. It fails if the agent lacks the permission or the kernel the feature.
func Watch(scrubber *procfs.Scrubber, users *procfs.Users) (*Watcher, error) {
	fd, family, err := openTaskstats()
	if err != nil {
		return nil, err
	}
	w := &Watcher{
		fd:     fd,
		family: family,
		since:  time.Now(),
		tick:   tick(),
		stop:   make(chan struct{}),
		groups: make(map[uint32]*threadTotals),
		users:  users,
		lines:  procfs.NewLineBudget(MaxPendingText),
		buffer: make([]byte, 64<<10),
	}
	if w.execs, err = watchExecs(scrubber, users); err != nil { // there are names without command lines then
		w.execs = nil
	}
	if w.starts, err = watchStarts(); err != nil { // starts are less accurate then
		w.starts = nil
	}
	w.stopped.Go(w.run)
	return w, nil
}

func (w *Watcher) run() {
	ticker := time.NewTicker(drainEvery)
	defer ticker.Stop()
	for {
		select {
		case <-w.stop:
			return
		case now := <-ticker.C:
			w.mu.Lock()
			w.drain(now)
			w.mu.Unlock()
		}
	}
}

// Close stops the watcher.
func (w *Watcher) Close() {
	close(w.stop)
	w.stopped.Wait()
	_ = unix.Close(w.fd)
	if w.execs != nil {
		w.execs.close()
	}
	if w.starts != nil {
		w.starts.events.Close()
	}
}

// Fetch returns the processes that have exited since the last call. missed is the number of those that did not fit the
// bounds. complete is false if the kernel dropped some records, so that missed is too low.
func (w *Watcher) Fetch(now time.Time) (list []Process, missed int64, complete bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain(now)
	list, missed, complete = w.pending, w.missed, !w.lossy
	w.pending, w.missed, w.lossy = nil, 0, false
	w.lines = procfs.NewLineBudget(MaxPendingText)
	w.starts.rotate()
	return list, missed, complete
}

// drain reads the records that the kernel has buffered.
func (w *Watcher) drain(now time.Time) {
	w.starts.drain()
	for {
		n, _, err := unix.Recvfrom(w.fd, w.buffer, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS): // the kernel has dropped some
			w.lose(now)
			continue
		case err != nil || n == 0:
			return
		}
		if err := parseExits(w.buffer[:n], w.family, func(r exitRecord) { w.add(r, now) }); err != nil {
			w.lose(now)
		}
	}
}

// lose discards the threads of processes that still run, because some records are lost. The threads of a process that
// has exited would be added to those of the next one with its pid.
func (w *Watcher) lose(now time.Time) {
	w.lossy, w.since, w.lostAt = true, now, now
	clear(w.groups)
}

// add adds an exited thread to its process. With the last thread the process has exited, and becomes pending.
func (w *Watcher) add(r exitRecord, now time.Time) {
	totals := w.groups[r.group]
	if totals == nil {
		totals = &threadTotals{}
		if !r.last {
			if len(w.groups) >= maxGroups {
				w.lose(now)
			}
			w.groups[r.group] = totals
		}
	}
	totals.addCPU(&r, w.tick)
	totals.readBytes += r.readBytes
	totals.writeBytes += r.writeBytes
	totals.peakMemory = max(totals.peakMemory, r.peakMemory)
	if !r.last {
		totals.ends.add(&r)
		return
	}
	delete(w.groups, r.group)
	start := w.starts.take(r.group)
	id := w.identity(r, start)
	if len(w.pending) >= MaxPending {
		w.missed++
		return
	}
	started := start.time(r.elapsed, time.Now(), procevents.Monotonic())
	complete := started.After(w.since)
	status := totals.ends.exitStatus(&r)
	if !complete && !r.killed && r.waitStatus == 0 && now.Sub(w.lostAt) <= 2*drainEvery {
		status = snapshot.ExitStatus{} // another thread may have ended the process; its record is lost
	}
	w.pending = append(w.pending, Process{
		PID:        int32(r.group),
		Identity:   id,
		Started:    snapshot.TimeOf(started),
		Began:      started,
		CPU:        totals.cpu,
		CPUMin:     totals.cpuMin,
		CPUMax:     totals.cpuMax,
		PeakMemory: totals.peakMemory,
		ReadBytes:  totals.readBytes,
		WriteBytes: totals.writeBytes,
		Exit:       status,
		Complete:   complete,
	})
}

// identity returns the identity that was read at exec, with the last user. Without it, it is the kernel's name and the
// real user.
func (w *Watcher) identity(r exitRecord, start start) snapshot.Identity {
	id := snapshot.Identity{Name: procfs.KernelName(r.comm), User: w.users.Name(r.uid)}
	if w.execs != nil {
		atExec, ok := w.execs.take(r.group)
		renamed := !strings.HasPrefix(atExec.Name, id.Name)
		if ok && (!renamed || start.at > 0 && atExec.at >= start.at) { // it is not of an earlier process
			if renamed {
				atExec.Name = id.Name
			}
			id = atExec.Identity
		}
	}
	if start.changed {
		id.User = w.users.Name(start.uid)
	}
	id.CommandLine = procfs.CutLine(id.CommandLine, w.lines.Limit())
	w.lines.Use(id.CommandLine)
	id.PPID = int32(r.parent)
	return id
}
