package bpf

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	// maxText bounds the arguments that are kept of processes that are in no list yet, in bytes.
	maxText = 4 << 20
	// maxGroups bounds the processes that are known.
	maxGroups = 200_000
)

// execution is what is known about a call of exec.
type execution struct {
	comm      string
	arguments []byte
	complete  bool // these are all arguments
	users     int  // groups that use it
}

// exitInfo is what exit_event says about a process.
type exitInfo struct {
	peakMemory int64         // in bytes; procfs.Unknown if it is
	thread     exits.Thread  // the last one
	others     time.Duration // CPU time of the other threads
	ppid       uint32
	waitStatus uint32 // as wait(2) reports it
	comm       string
}

const (
	// recordHeader is the space that an event takes in the ring buffer besides its own, at least, in bytes.
	recordHeader = 8
	// freeSkew is by how much the events of threads can come later than that of their main thread: each CPU sends its
	// own.
	freeSkew = 20 * time.Millisecond
)

// drain reads the events that are in the ring buffer.
func (k *Kernel) drain() {
	if k.err != nil {
		return
	}
	k.bootTime = time.Now().Add(-procfs.SinceBoot())
	// No more than what is there now, so that this ends when events come faster than they are read.
	for left := k.ring.AvailableBytes(); k.err == nil && left > 0; left -= len(k.record.RawSample) + recordHeader {
		err := k.ring.ReadInto(&k.record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err == nil {
			var e event
			if e, err = decodeEvent(k.record.RawSample); err == nil {
				k.add(e)
			}
		}
		if err != nil {
			k.err = fmt.Errorf("read BPF events: %w", err)
		}
	}
	k.endFreed(freeSkew)
	var lost uint64
	if err := k.collection.Variables["lost"].Get(&lost); err != nil && k.err == nil {
		k.err = fmt.Errorf("read the number of lost BPF events: %w", err)
	}
	if lost != k.lost {
		k.setLossy()
	}
	k.lost = lost
}

// Lost returns how many events the ring buffer had no room for.
func (k *Kernel) Lost() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lost
}

func (k *Kernel) add(e event) {
	switch e.kind {
	case eventFork:
		k.addFork(e)
	case eventExec:
		k.addExec(e)
	case eventExit:
		if g := k.group(e); g != nil {
			g.hasExit, g.exit = true, k.exitInfoOf(e)
		}
	case eventFree:
		k.addFree(e)
	}
}

func (k *Kernel) exitInfoOf(e event) exitInfo {
	field := func(i int) uint64 { return u64(e.body[8*i:]) }
	info := exitInfo{
		peakMemory: procfs.Unknown,
		thread: exits.Thread{
			Ran: time.Duration(field(2)), Waited: time.Duration(field(3)), Sleeps: int64(field(4)),
			Alive: time.Duration(field(6) - field(5)),
		},
		others:     time.Duration(field(7)),
		ppid:       u32(e.body[64:]),
		waitStatus: u32(e.body[68:]),
		comm:       text(e.body[72:88]),
	}
	if pages := int64(field(1)); pages >= 0 {
		info.peakMemory = pages * k.pageSize
		info.thread.PeakMemory = info.peakMemory
	}
	return info
}

// group returns the process of an event of its main thread. It is nil if too many are known, and for an event of an
// earlier process with the same pid.
func (k *Kernel) group(e event) *group {
	g := k.groups[e.tgid]
	switch {
	case g != nil && g.start == e.start:
		g.uid = e.uid
		return g
	case g != nil && e.start < g.start: // of an earlier process with this pid
		return nil
	case g != nil:
		k.replace(e.tgid, g)
	case len(k.groups) >= maxGroups:
		k.setLossy()
		return nil
	}
	g = &group{
		start: e.start, signal: e.signal, uid: e.uid, round: k.round, exit: exitInfo{peakMemory: procfs.Unknown},
	}
	k.groups[e.tgid] = g
	return g
}

// replace ends a process whose pid another one has now.
func (k *Kernel) replace(pid uint32, g *group) {
	if g.hasEnded() {
		k.endNow(pid, g)
		return
	}
	k.setLossy() // its end was lost, or its event comes later
	k.clear(pid)
}

// setLossy records that processes may have ended that are not known.
func (k *Kernel) setLossy() {
	if k.watch != nil {
		k.watch.lossy = true
	}
}

func (k *Kernel) addFork(e event) {
	g := k.group(e)
	if g == nil {
		return
	}
	g.isNew, g.ppid = true, u32(e.body)
	if parent := k.groups[u32(e.body[4:])]; parent != nil && parent.exec != nil {
		g.exec = parent.exec // until it calls exec itself
		g.exec.users++
	}
}

func (k *Kernel) addExec(e event) {
	g := k.group(e)
	if g == nil {
		return
	}
	g.execs++
	k.dropExec(g)
	if g.listed { // the list has it
		return
	}
	length, stored := u32(e.body[8:]), u32(e.body[12:])
	arguments := e.body[execSize-eventSize:]
	arguments = arguments[:min(int(stored), len(arguments))]
	if k.text+len(arguments) > maxText {
		arguments = nil
	}
	k.text += len(arguments)
	g.exec = &execution{
		comm:      text(e.body[16:32]),
		arguments: append([]byte(nil), arguments...),
		complete:  stored == length,
		users:     1,
	}
}

// dropExec removes the arguments of a process.
func (k *Kernel) dropExec(g *group) {
	if g.exec == nil {
		return
	}
	if g.exec.users--; g.exec.users == 0 {
		k.text -= len(g.exec.arguments)
	}
	g.exec = nil
}

// addFree adds what a thread has used to its process. If it was the main one, the process has ended.
func (k *Kernel) addFree(e event) {
	used := usage{u64(e.body), u64(e.body[16:]), u64(e.body[24:])}
	g := k.groups[e.tgid]
	if g == nil || g.signal != e.signal {
		return
	}
	if e.pid != e.tgid {
		// A thread that started before this Kernel was opened, and was not in its first list, is in the sum there.
		inSum := !g.isNew && k.threadsAtOpen != nil && e.start <= k.openedAt && !k.threadsAtOpen[e.pid]
		if !inSum {
			g.ended.add(used)
		}
		return
	}
	g.uid, g.leader = e.uid, used
	// What the others have used, also those whose events come later or are lost.
	others := func(all, own uint64) uint64 { return all - min(own, all) }
	g.removed.run = max(g.removed.run, others(u64(e.body[8:]), used.run))
	g.removed.readBytes = max(g.removed.readBytes, others(u64(e.body[32:]), used.readBytes))
	g.removed.writeBytes = max(g.removed.writeBytes, others(u64(e.body[40:]), used.writeBytes))
	g.freed = time.Now()
	if g.ended.run == 0 && g.removed.run == 0 && g.exit.others == 0 { // it had no other threads
		k.endNow(e.tgid, g)
		return
	}
	k.freed = append(k.freed, freedGroup{e.tgid, g})
}

// freedGroup is a process whose main thread has been removed, and whose others may not.
type freedGroup struct {
	pid   uint32
	group *group
}

// endFreed ends the processes whose main thread was removed at least as long ago as age.
func (k *Kernel) endFreed(age time.Duration) {
	for len(k.freed) > 0 && time.Since(k.freed[0].group.freed) >= age {
		first := k.freed[0]
		k.freed[0] = freedGroup{}
		k.freed = k.freed[1:]
		k.endNow(first.pid, first.group)
	}
}

// endNow ends a process, if that has not been done.
func (k *Kernel) endNow(pid uint32, g *group) {
	if k.groups[pid] != g {
		return
	}
	g.live = g.leader // its other threads have ended
	if g.freed.IsZero() {
		k.endWithoutFree(pid, g)
		return
	}
	cpu := time.Duration(g.total().run)
	k.end(pid, cpu, cpu, cpu)
}

// endWithoutFree ends a process whose last values the kernel has not reported.
func (k *Kernel) endWithoutFree(pid uint32, g *group) {
	if !g.hasEnded() { // see EndExited
		k.end(pid, g.task.CPU, g.task.CPU, g.task.CPU)
		return
	}
	low, cpu, high := g.exit.thread.CPUTime()
	others := max(g.exit.others, time.Duration(max(g.ended.run, g.removed.run)))
	k.end(pid, low+others, cpu+others, high+others)
}

// end removes a process that has ended.
func (k *Kernel) end(pid uint32, low, cpu, high time.Duration) {
	if k.watch != nil {
		k.watch.add(pid, k.groups[pid], low, cpu, high)
	}
	k.clear(pid)
}

// Watcher returns the processes that have ended. It is an exits source of package collect.
type Watcher struct {
	kernel   *Kernel
	scrubber *procfs.Scrubber
	users    *procfs.Users

	// These are protected by the mutex of the Kernel.
	pending []exits.Process
	fetched []exits.Process   // what the last call of Fetch returned; its memory is used again
	lines   procfs.LineBudget // of the command lines in pending
	missed  int64
	lossy   bool
}

// WatchExits starts to collect the processes that end.
func (k *Kernel) WatchExits(scrubber *procfs.Scrubber, users *procfs.Users) *Watcher {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watch = &Watcher{kernel: k, scrubber: scrubber, users: users, lines: procfs.NewLineBudget(exits.MaxPendingText)}
	return k.watch
}

// Close stops to collect.
func (w *Watcher) Close() {
	w.kernel.mu.Lock()
	defer w.kernel.mu.Unlock()
	w.kernel.watch = nil
}

// Fetch returns the processes that have ended since the last call. missed is the number of those that did not fit the
// bounds. complete is false if the ring buffer was full, so that missed may be too low. The list is valid until the
// next call.
func (w *Watcher) Fetch(time.Time) (list []exits.Process, missed int64, complete bool) {
	w.kernel.mu.Lock()
	defer w.kernel.mu.Unlock()
	w.kernel.drain()
	isBroken := w.kernel.err != nil // events since then were not read
	list, missed, complete = w.pending, w.missed, !w.lossy && !isBroken
	clear(w.fetched)
	w.pending, w.fetched = w.fetched[:0], list
	w.missed, w.lossy = 0, isBroken
	w.lines = procfs.NewLineBudget(exits.MaxPendingText)
	return list, missed, complete
}

// add adds a process that has ended. Its CPU time is between low and high.
func (w *Watcher) add(pid uint32, g *group, low, cpu, high time.Duration) {
	if len(w.pending) >= exits.MaxPending {
		w.missed++
		return
	}
	total := g.total()
	began := w.kernel.bootTime.Add(time.Duration(g.start))
	p := exits.Process{
		PID:        int32(pid),
		StartTicks: int64(g.start / nanosPerTick),
		Started:    snapshot.TimeOf(began),
		Began:      began,
		CPU:        cpu,
		CPUMin:     low,
		CPUMax:     high,
		PeakMemory: g.exit.peakMemory,
		ReadBytes:  int64(total.readBytes),
		WriteBytes: int64(total.writeBytes),
		Complete:   g.hasEnded(),
		LastKnown:  !g.hasEnded(),
	}
	p.Identity = snapshot.Identity{Name: procfs.KernelName(g.exit.comm), User: w.users.Name(g.uid)}
	if g.exec != nil {
		limit := w.lines.Limit()
		if !g.exec.complete { // a secret can continue where the arguments were cut
			limit = min(limit, len(g.exec.arguments)/2)
		}
		p.Name, p.CommandLine = procfs.NameAndCommandLine(
			g.exec.comm, g.exec.arguments, g.exec.complete, w.scrubber, limit,
		)
		w.lines.Use(p.CommandLine)
	}
	if g.hasExit {
		p.Exit = snapshot.ExitStatusOf(g.exit.waitStatus)
	}
	p.PPID = int32(g.ppid)
	if g.ppid == 0 {
		p.PPID = int32(g.exit.ppid)
	}
	w.pending = append(w.pending, p)
}
