package exits

import (
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// The kernel sends the exit status of each thread, and wait(2) reports the one of the process. They are the same for
// the thread that calls exit_group(2), for one that a signal ends, and for those that the kernel then kills. They
// differ for a thread that ends by itself with exit(2), as libraries do with 0. If that happens while another thread
// ends the process, the last record can be the one of the wrong thread. So those of the other threads are compared.

// threadEnds is how the threads of a process have ended, other than the last one.
type threadEnds struct {
	seen    bool
	program program
	latest  time.Duration
	// killed is the latest one that the kernel killed: by a signal, because the process ends, or because it calls exec.
	// own is the latest other one with a status that is not 0.
	killed, own threadEnd
}

// threadEnd is how a thread has ended.
type threadEnd struct {
	seen   bool
	status uint32
	at     time.Duration // since the start of the process
}

// program identifies the file of a program.
type program struct{ device, inode uint64 }

// coreDumped is the flag in an exit status that says that memory was written to a file.
const coreDumped = 0x80

// add adds a thread that has ended and was not the last one.
func (e *threadEnds) add(r *exitRecord) {
	switch {
	case e.seen && r.program == e.program:
	case e.seen && r.elapsed < e.latest: // exec killed it, and its record comes late
		return
	default: // exec has killed the earlier ones
		*e = threadEnds{seen: true, program: r.program}
	}
	e.latest = max(e.latest, r.elapsed)
	end := threadEnd{seen: true, status: r.waitStatus &^ coreDumped, at: r.elapsed}
	switch {
	case r.killed && end.at >= e.killed.at:
		e.killed = end
	case !r.killed && end.status != 0 && end.at >= e.own.at:
		e.own = end
	}
}

// exitStatus returns how a process has ended whose last thread is r. It is unknown if the threads contradict each
// other.
func (e *threadEnds) exitStatus(r *exitRecord) snapshot.ExitStatus {
	status := r.waitStatus &^ coreDumped
	same := e.seen && e.program == r.program // otherwise, they are of an earlier program
	known := true
	switch {
	case r.killed && status != 0 || !same:
	case e.killed.status != 0: // all that end after it have its status, or have ended by themselves
		status = e.killed.status
	case r.killed:
	case !r.lastByItself && r.pid != r.group:
		known = e.killed.seen
	case status == 0:
		known = !e.own.seen || e.killed.seen && e.killed.at >= e.own.at
	default:
		known = !e.killed.seen && (!e.own.seen || e.own.status == status)
	}
	if !known {
		return snapshot.ExitStatus{}
	}
	return snapshot.ExitStatusOf(status)
}
