package bpf

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/snapwatch/snapwatch/agent/procfs"
)

// nanosPerTick is the unit of procfs.Task.StartTicks.
const nanosPerTick = uint64(10 * time.Millisecond)

// group is a process: a group of threads.
type group struct {
	start  uint64
	signal uint64 // identifies it, also after its pid is used again
	isNew  bool   // its start was seen, so nothing was used before
	uid    uint32
	execs  uint64 // calls of exec that were seen
	round  uint64 // the last one in which it was listed
	listed bool   // it was in a list
	task   procfs.Task
	leader usage // of its main thread, in the last list or when that was removed
	live   usage // of all its threads that run, in the last list
	// ended is what its threads that have ended had used, by their events. removed is the same by the last list, where
	// CPU time lacks the last ticks.
	ended, removed usage
	// These are of the list before: the number of threads, and the CPU time of those that had ended.
	threadsBefore int32
	endedBefore   uint64
	ppid          uint32
	exec          *execution // nil if its last call of exec was not seen, or is in a list
	exit          exitInfo
	hasExit       bool // exit is known
	// freed is when its main thread was removed, or zero.
	freed time.Time
}

// hasEnded reports whether the process has exited, by any of its events.
func (g *group) hasEnded() bool { return g.hasExit || !g.freed.IsZero() }

// usage is what threads have used. run is in nanoseconds.
type usage struct{ run, readBytes, writeBytes uint64 }

func (u *usage) add(other usage) {
	u.run += other.run
	u.readBytes += other.readBytes
	u.writeBytes += other.writeBytes
}

// Tasks returns the values of all processes. The list is valid until the next call.
func (k *Kernel) Tasks() ([]procfs.Task, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	// Events of threads that have ended come first: the list no longer has these threads.
	if k.drain(); k.err != nil {
		return nil, k.err
	}
	if err := k.iterate(); err != nil {
		return nil, err
	}
	k.round++
	if err := k.addRecords(); err != nil {
		return nil, err
	}
	k.shrink()
	for _, g := range k.order {
		g.finish()
		k.tasks = append(k.tasks, g.task)
	}
	if k.threadsAtOpen != nil && uint64(procfs.SinceBoot()) > k.openedAt+uint64(5*removalWait) {
		k.threadsAtOpen = nil
	}
	// Events that come from here on are of threads that may be in the list.
	if err := k.settleRemoved(); err != nil {
		return nil, err
	}
	return k.tasks, nil
}

const (
	// removalWait is how long a list waits for the last values of processes that have just ended. The kernel reports
	// them after a grace period of RCU, which takes some tens of milliseconds.
	removalWait = 200 * time.Millisecond
	// removalPoll is when they are first looked for. The pauses after it double, because each costs CPU time.
	removalPoll = 4 * time.Millisecond
)

// settleRemoved waits for the last values of the processes that are no longer in the kernel's list, so that each
// process has ended in the sample in which it is not listed.
func (k *Kernel) settleRemoved() error {
	if k.drain(); k.err != nil { // what is not in the list has exited by now
		return k.err
	}
	removed := make(map[uint32]*group)
	for pid, g := range k.groups {
		switch {
		case g.round == k.round:
		case g.hasEnded():
			removed[pid] = g
		case g.listed && g.round+1 == k.round: // the iterator can miss a process while it calls exec
			k.tasks = append(k.tasks, g.task)
		case g.round+1 < k.round: // it should have been in a list; its end was lost
			k.clear(pid)
		}
	}
	k.awaitRemoval(removed)
	if k.err != nil {
		return k.err
	}
	for pid, g := range removed {
		k.endNow(pid, g)
	}
	return nil
}

// awaitRemoval waits for the last values of processes, and removes those from the map whose values have come.
func (k *Kernel) awaitRemoval(removed map[uint32]*group) {
	k.await(removed, func(pid uint32, g *group) bool { return k.groups[pid] != g })
}

// await waits until processes are done, and removes those from the map that are.
func (k *Kernel) await(waiting map[uint32]*group, done func(pid uint32, g *group) bool) {
	deadline := time.Now().Add(removalWait)
	for pause := removalPoll; len(waiting) > 0; pause *= 2 {
		if pause = min(pause, time.Until(deadline)); pause <= 0 {
			return
		}
		k.mu.Unlock() // events are read meanwhile if they are many
		time.Sleep(pause)
		k.mu.Lock()
		if k.drain(); k.err != nil {
			return
		}
		for pid, g := range waiting {
			if done(pid, g) {
				delete(waiting, pid)
			}
		}
	}
}

// EndExited ends all processes that have exited, including zombies. It is for the time after the last list. Another
// source must watch already.
//
// Before Linux 6.16, the event of an exit can come after the memory of the process is removed; see onEarlyExit. This
// can take seconds. The record of taskstats comes before. So a process can be between both when the sources change.
// EndExited waits for the events of these processes, and ends the rest with the values that were last known.
func (k *Kernel) EndExited() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drain()
	ending := make(map[uint32]*group)
	for pid, g := range k.groups {
		if !g.hasEnded() && k.isEnding(pid) {
			ending[pid] = g
		}
	}
	k.await(ending, func(_ uint32, g *group) bool { return g.hasEnded() })
	exited := ending
	for pid, g := range k.groups {
		if g.hasEnded() {
			exited[pid] = g
		}
	}
	k.awaitRemoval(exited)
	for pid, g := range exited {
		k.endNow(pid, g)
	}
}

// few is a number of processes whose memory is not released.
const few = 4096

// emptied returns an empty list with the memory of another one, or without if that is much more than used and spare.
func emptied[T any](list []T, used, spare int) []T {
	if cap(list) > 4*used+spare {
		return nil
	}
	return list[:0]
}

// shrink releases memory if there were many more processes once. It empties the list.
func (k *Kernel) shrink() {
	k.tasks = emptied(k.tasks, len(k.order), few)
	if k.most = max(k.most, len(k.groups)); k.most > 4*len(k.groups)+few {
		known := k.groups // a map does not become smaller
		k.groups, k.most = make(map[uint32]*group, len(known)), len(known)
		maps.Copy(k.groups, known)
	}
}

// iterate runs the iterator. It fills k.buffer.
func (k *Kernel) iterate() (err error) {
	pass, err := k.iterator.Open()
	if err != nil {
		return fmt.Errorf("start the BPF iterator: %w", err)
	}
	defer func() { err = errors.Join(err, pass.Close()) }()
	k.buffer = emptied(k.buffer, len(k.buffer), 32*readSize)
	for {
		if cap(k.buffer)-len(k.buffer) < readSize {
			k.buffer = append(make([]byte, 0, 2*cap(k.buffer)+readSize), k.buffer...)
		}
		n, err := pass.Read(k.buffer[len(k.buffer) : len(k.buffer)+readSize])
		k.buffer = k.buffer[:len(k.buffer)+n]
		switch {
		case errors.Is(err, io.EOF) || err == nil && n == 0:
			return nil
		case err != nil:
			return fmt.Errorf("read the BPF iterator: %w", err)
		}
	}
}

// readSize is how much of the iterator's output is read at once; the kernel collects up to 32 KiB.
const readSize = 32 << 10

// addRecords sets the values of the groups to what the iterator wrote. A thread can come before the main one.
func (k *Kernel) addRecords() error {
	var r processRecord
	clear(k.order)
	k.order = emptied(k.order, len(k.order), few)
	early := make(map[uint32]bool) // processes with a thread that came before the main one
	for b := k.buffer; len(b) > 0; {
		var err error
		if b, err = decodeRecord(b, &r); err != nil {
			return err
		}
		if r.size == processSize {
			k.addProcess(&r, early[r.tgid])
		} else if r.pid < r.tgid {
			early[r.tgid] = true
		}
	}
	for b := k.buffer; len(b) > 0; {
		b, _ = decodeRecord(b, &r)
		if g := k.groups[r.tgid]; g != nil && r.size == threadSize && g.round == k.round {
			g.live.add(r.usage())
		}
	}
	return nil
}

func (r *threadRecord) usage() usage { return usage{r.run, r.readBytes, r.writeBytes} }

// addProcess sets the values of a group, apart from those of its other threads. If a thread was listed early, before
// the main one, it may have been removed in between, so that it is in both.
func (k *Kernel) addProcess(r *processRecord, early bool) {
	state := stateOf(r.state, r.exitState)
	if state == "" || r.threads == 0 {
		return
	}
	g := k.groups[r.pid]
	if g == nil || g.start != r.start {
		if g != nil {
			k.replace(r.pid, g)
		}
		g = &group{start: r.start, signal: r.signal, exit: exitInfo{peakMemory: procfs.Unknown}}
		k.groups[r.pid] = g
	}
	if g.round == k.round { // it was listed twice
		return
	}
	if isFirst := !g.listed && !g.isNew; !early || isFirst {
		g.removed.run = r.endedRun
		if r.childFaults == 0 { // otherwise, the I/O of children is in it
			g.removed.readBytes, g.removed.writeBytes = r.removedRead, r.removedWrite
		}
		if isFirst { // these threads have ended before this Kernel was opened
			g.ended = g.removed
		}
	}
	if !g.listed {
		g.listed = true
		k.dropExec(g)
	}
	k.order = append(k.order, g)
	g.round, g.leader, g.live, g.uid = k.round, r.usage(), r.usage(), r.uid
	t := &g.task
	t.PID, t.PPID, t.UID = int32(r.pid), int32(r.ppid), r.uid
	t.StartTicks = int64(r.start / nanosPerTick)
	if t.Comm != r.comm {
		t.Comm = r.comm
	}
	t.Flags, t.State, t.Threads, t.OpenFiles = int64(r.flags), state, r.threads, r.openFiles
	t.ChildCPU = time.Duration(r.childRun)
	t.Pages = max(r.pages, 0)
	// The kernel changes its number before the new arguments are there, and sends the event after that.
	t.ExecID, t.CgroupsKey = r.execID+g.execs<<32, r.cgroups
}

// finish sets the totals of a process whose threads have been added.
func (g *group) finish() {
	t := &g.task
	ended := max(g.ended.run, g.removed.run)
	t.OneThread = t.Threads == 1 && g.threadsBefore <= 1 && ended == g.endedBefore
	g.threadsBefore, g.endedBefore = t.Threads, ended
	total := g.total()
	// A thread that has just ended can be neither in the list nor reported yet.
	t.CPU = max(t.CPU, time.Duration(total.run))
	t.ReadBytes = max(t.ReadBytes, int64(total.readBytes))
	t.WriteBytes = max(t.WriteBytes, int64(total.writeBytes))
}

// total returns what all threads of a process have used.
func (g *group) total() usage {
	total := g.live
	total.add(usage{
		run:        max(g.ended.run, g.removed.run),
		readBytes:  max(g.ended.readBytes, g.removed.readBytes),
		writeBytes: max(g.ended.writeBytes, g.removed.writeBytes),
	})
	return total
}

// clear removes what is known about a process.
func (k *Kernel) clear(pid uint32) {
	k.dropExec(k.groups[pid])
	delete(k.groups, pid)
}
