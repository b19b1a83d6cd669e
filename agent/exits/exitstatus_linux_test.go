package exits

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// The exit status of a process is the one that wait reports, whichever of its threads is the last. It is unknown if the
// records leave more than one possibility.
func TestExitStatusOfThreads(t *testing.T) {
	const code3, code5, segmentation = 3 << 8, 5 << 8, 11
	own := func(pid uint32, status uint32, at time.Duration) exitRecord {
		return exitRecord{
			pid: pid, group: 1, waitStatus: status, elapsed: at, lastByItself: true, program: program{inode: 7},
		}
	}
	killed := func(pid uint32, status uint32, at time.Duration) exitRecord {
		r := own(pid, status, at)
		r.killed = true
		return r
	}
	of := func(inode uint64, r exitRecord) exitRecord {
		r.program.inode = inode
		return r
	}
	onLinux5 := func(r exitRecord) exitRecord {
		r.lastByItself = false
		return r
	}
	code := func(n int16) snapshot.ExitStatus { return snapshot.ExitStatus{ExitCode: &n} }
	signal := func(n int16) snapshot.ExitStatus { return snapshot.ExitStatus{ExitSignal: &n} }
	unknown := snapshot.ExitStatus{}
	for name, test := range map[string]struct {
		records []exitRecord // in the order in which they come; the last one is of the last thread
		want    snapshot.ExitStatus
	}{
		"one thread":            {[]exitRecord{own(1, code3, 9)}, code(3)},
		"threads ended earlier": {[]exitRecord{own(2, 0, 5), own(3, 0, 6), own(1, code3, 9)}, code(3)},
		"exit kills the others": {[]exitRecord{own(1, code3, 8), killed(2, code3, 9)}, code(3)},
		"the thread that calls exit is the last": {
			[]exitRecord{killed(2, code3, 8), killed(3, code3, 8), own(1, code3, 9)}, code(3),
		},
		"a thread ends during exit": {[]exitRecord{own(1, code3, 8), own(2, 0, 9)}, unknown},
		"a thread ends during exit, and another one is killed": {
			[]exitRecord{own(1, code3, 7), killed(3, code3, 8), own(2, 0, 9)}, code(3),
		},
		"a signal, and a thread ends": {[]exitRecord{killed(1, segmentation, 8), own(2, 0, 9)}, signal(11)},
		"a core was dumped": {
			[]exitRecord{killed(2, segmentation, 8), killed(1, segmentation|coreDumped, 9)}, signal(11),
		},
		"the main thread ended before, with another code": {
			[]exitRecord{own(1, code5, 3), killed(3, 0, 8), own(2, 0, 9)}, code(0),
		},
		"the main thread ended before, and nothing else is known": {
			[]exitRecord{own(1, code5, 3), own(2, code3, 9)}, unknown,
		},
		"exec of another program": {
			[]exitRecord{of(6, killed(1, 0, 3)), of(6, killed(2, 0, 3)), own(1, code3, 9)}, code(3),
		},
		"exec of another program, and a late record": {
			[]exitRecord{of(6, killed(1, 0, 3)), own(3, 0, 5), of(6, killed(2, 0, 3)), own(1, code3, 9)}, code(3),
		},
		"exec of the same program": {[]exitRecord{killed(1, 0, 3), own(1, code3, 9)}, unknown},
		"all threads end, on Linux 5.19": {
			[]exitRecord{onLinux5(own(1, 0, 8)), onLinux5(own(2, code3, 9))}, unknown,
		},
		"the main thread is the last, on Linux 5.19": {
			[]exitRecord{onLinux5(own(2, 0, 8)), onLinux5(own(1, code3, 9))}, code(3),
		},
		"exit from a thread, on Linux 5.19": {
			[]exitRecord{onLinux5(killed(1, code3, 8)), onLinux5(own(2, code3, 9))}, code(3),
		},
	} {
		w := &Watcher{groups: make(map[uint32]*threadTotals), users: procfs.NewUsers()}
		for i, r := range test.records {
			r.last = i == len(test.records)-1
			w.add(r, time.Now())
		}
		if len(w.pending) != 1 || !snapshottest.SameExit(w.pending[0].Exit, test.want) {
			t.Errorf("%s: %+v, want %+v", name, w.pending, test.want)
		}
	}
}

// If records were lost, one of them may have been that of the thread that ended the process.
func TestExitStatusAfterLostRecords(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		record exitRecord
		known  bool
	}{
		"ended by itself with 0":     {exitRecord{elapsed: time.Minute}, false},
		"ended with 3":               {exitRecord{elapsed: time.Minute, waitStatus: 3 << 8}, true},
		"killed":                     {exitRecord{elapsed: time.Minute, killed: true}, true},
		"started after the loss":     {exitRecord{}, true},
		"ended long after the loss ": {exitRecord{elapsed: time.Hour}, true},
	} {
		w := &Watcher{groups: make(map[uint32]*threadTotals), users: procfs.NewUsers()}
		if w.lose(now.Add(-time.Second)); test.record.elapsed == time.Hour {
			w.lose(now.Add(-time.Minute))
		}
		test.record.last = true
		w.add(test.record, now)
		if known := w.pending[0].Exit.HasExitStatus(); known != test.known {
			t.Errorf("%s: known: %t, want %t", name, known, test.known)
		}
	}
}
