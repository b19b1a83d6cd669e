package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
)

// These are the sizes of the structures in snapwatch.bpf.c.
const (
	threadSize  = 40
	processSize = 160
	eventSize   = 32
	forkSize    = eventSize + 8
	execSize    = eventSize + 32
	exitSize    = eventSize + 88
	freeSize    = eventSize + 48
)

// Kinds of events; see enum event_kind.
const (
	eventFork = iota + 1
	eventExec
	eventExit
	eventFree
)

var (
	errRecord = errors.New("the BPF iterator wrote a record of an unknown size")
	errEvent  = errors.New("a BPF program sent an event of an unknown kind or size")
)

// threadRecord is struct thread_record.
type threadRecord struct {
	size, pid, tgid, flags uint32
	run                    uint64
	readBytes, writeBytes  uint64
}

// processRecord is struct process_record.
type processRecord struct {
	threadRecord
	start, execID, cgroups          uint64
	endedRun, childRun, childFaults uint64
	removedRead, removedWrite       uint64
	signal                          uint64
	pages                           int64
	ppid, uid, state, exitState     uint32
	threads, openFiles              int32
	comm                            string
}

func u32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

// decodeRecord decodes the first record in b and returns the rest. If the record is of a thread that is not the main
// one, only its threadRecord is set.
func decodeRecord(b []byte, r *processRecord) (rest []byte, err error) {
	if len(b) < threadSize {
		return nil, errRecord
	}
	r.threadRecord = threadRecord{u32(b), u32(b[4:]), u32(b[8:]), u32(b[12:]), u64(b[16:]), u64(b[24:]), u64(b[32:])}
	switch {
	case r.size == threadSize:
		return b[threadSize:], nil
	case r.size != processSize || len(b) < processSize:
		return nil, errRecord
	}
	r.start, r.execID, r.cgroups = u64(b[40:]), u64(b[48:]), u64(b[56:])
	r.endedRun, r.childRun, r.childFaults = u64(b[64:]), u64(b[72:]), u64(b[80:])
	r.removedRead, r.removedWrite = u64(b[88:]), u64(b[96:])
	r.signal, r.pages = u64(b[104:]), int64(u64(b[112:]))
	r.ppid, r.uid, r.state, r.exitState = u32(b[120:]), u32(b[124:]), u32(b[128:]), u32(b[132:])
	r.threads, r.openFiles = int32(u32(b[136:])), int32(u32(b[140:]))
	r.comm = text(b[144:160])
	return b[processSize:], nil
}

// text returns a text that ends with a zero.
func text(b []byte) string {
	before, _, _ := bytes.Cut(b, []byte{0})
	return string(before)
}

// event is struct event. body is what follows.
type event struct {
	kind, pid, tgid, uid uint32
	start, signal        uint64
	body                 []byte
}

func decodeEvent(b []byte) (event, error) {
	if len(b) < eventSize {
		return event{}, errEvent
	}
	e := event{u32(b), u32(b[4:]), u32(b[8:]), u32(b[12:]), u64(b[16:]), u64(b[24:]), b[eventSize:]}
	sizes := [...]int{eventFork: forkSize, eventExec: execSize, eventExit: exitSize, eventFree: freeSize}
	if e.kind < eventFork || e.kind > eventFree || len(b) < sizes[e.kind] {
		return event{}, errEvent
	}
	return e, nil
}

// stateOf returns the letter of ps for the state of a task, as task_state_index of linux/sched.h does. It is empty for
// a task that the kernel is removing.
func stateOf(state, exitState uint32) string {
	const (
		idle   = 0x402  // since Linux 6.1, also with the flag that says that it can be frozen
		locked = 0x1000 // TASK_RTLOCK_WAIT
		frozen = 0x8000
		dead   = 0x10
		report = 0x7f
	)
	switch {
	case exitState == dead: // with the state of a zombie, a tracer is looking at it
		return ""
	case state&idle == idle:
		return "I"
	case exitState == 0 && state&(locked|frozen) != 0:
		return "D"
	}
	const letters = "RSDTtXZP"
	i := bits.Len32((state | exitState) & report)
	return letters[i : i+1]
}
