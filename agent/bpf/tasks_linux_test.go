package bpf

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"
)

// record is the record of a main thread, or of another one if it has a tgid of its own.
type record struct {
	pid, tgid                 uint32
	run, ended, read, removed uint64
	exitState                 uint32
}

func (r record) append(b []byte) []byte {
	size := processSize
	if r.tgid != 0 {
		size = threadSize
	} else {
		r.tgid = r.pid
	}
	one := make([]byte, size)
	put32 := func(at int, n uint32) { binary.NativeEndian.PutUint32(one[at:], n) }
	put64 := func(at int, n uint64) { binary.NativeEndian.PutUint64(one[at:], n) }
	put32(0, uint32(size))
	put32(4, r.pid)
	put32(8, r.tgid)
	put64(16, r.run)
	put64(24, r.read)
	if size == processSize {
		put64(40, 1000) // its start
		put64(64, r.ended)
		put64(88, r.removed)
		put32(132, r.exitState)
		put32(136, 1)
	}
	return append(b, one...)
}

// list makes a list of records, and returns the CPU time and the bytes read of process 50.
func list(t *testing.T, k *Kernel, records ...record) (cpu time.Duration, read int64) {
	t.Helper()
	k.buffer = k.buffer[:0]
	for _, r := range records {
		k.buffer = r.append(k.buffer)
	}
	k.round++
	if err := k.addRecords(); err != nil {
		t.Fatal(err)
	}
	for _, g := range k.order {
		g.finish()
		if g.task.PID == 50 {
			cpu, read = g.task.CPU, g.task.ReadBytes
		}
	}
	return cpu, read
}

// A thread that ends around a list is counted once.
func TestThreadEndsAroundAList(t *testing.T) {
	main := record{pid: 50, run: 1e6}
	withEnded := record{pid: 50, run: 1e6, ended: 5e6, removed: 10}
	thread := record{pid: 51, tgid: 50, run: 5e6, read: 10}
	earlier := record{pid: 40, tgid: 50, run: 5e6, read: 10}
	for name, test := range map[string]struct {
		before []event
		first  []record
		after  []event
		second []record
	}{
		"a new process, before its first list": {
			[]event{fork(50, 7, 1000)}, []record{withEnded}, []event{free(51, 50, 1500, 5e6, 5e6)}, []record{withEnded},
		},
		"between two lists": {
			[]event{fork(50, 7, 1000)}, []record{main, thread}, []event{free(51, 50, 1500, 5e6, 5e6)},
			[]record{withEnded},
		},
		"while the list is made, after it was listed": {
			[]event{fork(50, 7, 1000)}, []record{earlier, withEnded}, []event{free(40, 50, 1500, 5e6, 5e6)},
			[]record{withEnded},
		},
		"the main one is listed twice": {
			[]event{fork(50, 7, 1000)}, []record{withEnded, main}, []event{free(51, 50, 1500, 5e6, 5e6)},
			[]record{withEnded},
		},
	} {
		t.Run(name, func(t *testing.T) {
			k, _ := without()
			for _, e := range test.before {
				k.add(e)
			}
			check := func(records []record) {
				t.Helper()
				// The event has 10 bytes read.
				if cpu, read := list(t, k, records...); cpu != 6*time.Millisecond || read != 10 {
					t.Errorf("it used %s and read %d bytes", cpu, read)
				}
			}
			check(test.first)
			for _, e := range test.after {
				k.add(e)
			}
			check(test.second)
		})
	}
}

// Many processes that have ended take no memory.
func TestMemoryAfterManyProcesses(t *testing.T) {
	const count = 100_000
	k, w := without()
	heap := func() int64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	before := heap()
	for range 2 { // they are in the list, and then no longer
		records := []record{{pid: 50}}
		for pid := range uint32(count) {
			k.add(fork(pid+100, 1, 1000))
			records = append(records, record{pid: pid + 100})
		}
		list(t, k, records...)
		k.shrink()
		for _, g := range k.order {
			k.tasks = append(k.tasks, g.task)
		}
		for pid := range uint32(count) {
			k.add(exit(pid+100, 1000, "x"))
			k.add(free(pid+100, pid+100, 1000, 1, 1))
		}
	}
	w.pending, k.buffer = nil, nil
	for range 2 {
		list(t, k, record{pid: 50})
		k.shrink()
	}
	k.buffer = nil
	if grown := heap() - before; grown > 2<<20 || len(k.groups) != 1 {
		t.Errorf("%d processes are known, and %d bytes are in use", len(k.groups), grown)
	}
	runtime.KeepAlive(k)
}

// When the Kernel is opened, the kernel's sums have the threads that ended before. Their events may come later.
func TestThreadEndedBeforeOpen(t *testing.T) {
	k, _ := without()
	k.openedAt = 5000
	withEnded := record{pid: 50, run: 1e6, ended: 5e6, removed: 10}
	live := record{pid: 52, tgid: 50, run: 2e6, read: 1}
	list(t, k, withEnded, live)
	k.threadsAtOpen = map[uint32]bool{50: true, 52: true}
	k.add(free(51, 50, 1500, 5e6, 5e6)) // in the list as ended
	if cpu, read := list(t, k, withEnded, live); cpu != 8*time.Millisecond || read != 11 {
		t.Errorf("it used %s and read %d bytes", cpu, read)
	}
	k.add(free(52, 50, 1600, 3e6, 7e6))
	k.add(free(53, 50, 6000, 1e6, 8e6)) // started after the list
	withEnded.ended = 8e6
	withEnded.removed = 30
	if cpu, read := list(t, k, withEnded); cpu != 10*time.Millisecond || read != 30 {
		t.Errorf("then, it used %s and read %d bytes", cpu, read)
	}
}
