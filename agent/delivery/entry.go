package delivery

import (
	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Entry is an encoded snapshot in the queue.
type Entry struct {
	// Number is one more than that of the previous snapshot. It does not depend on the clock. Queue.Add sets it.
	Number    uint64
	Timestamp snapshot.Time
	Kind      snapshot.Kind
	JSON      []byte
	// dropped is the number of dropped snapshots that this one reports to the server.
	dropped int64
}

// body returns the JSON to send: the snapshot with the number of dropped ones, if there are any.
func (e *Entry) body() []byte {
	if e.dropped == 0 {
		return e.JSON
	}
	var s snapshot.Snapshot
	if err := json.Unmarshal(e.JSON, &s); err != nil {
		return e.JSON // the server refuses it with a reason
	}
	s.Machine.DroppedSnapshots = &e.dropped
	encoded, err := json.Marshal(&s)
	if err != nil {
		return e.JSON
	}
	return encoded
}

// fifo is a list of entries in memory, the oldest first.
type fifo struct {
	entries []Entry
	bytes   int // of JSON
}

func (f *fifo) empty() bool { return len(f.entries) == 0 }

func (f *fifo) push(e Entry) {
	f.entries = append(f.entries, e)
	f.bytes += len(e.JSON)
}

func (f *fifo) pop() Entry {
	first := f.entries[0]
	f.bytes -= len(first.JSON)
	f.entries[0].JSON = nil
	if f.entries = f.entries[1:]; len(f.entries) == 0 {
		f.entries = nil
	}
	return first
}

// removeThrough removes the entries up to a number.
func (f *fifo) removeThrough(number uint64) {
	for !f.empty() && f.entries[0].Number <= number {
		f.pop()
	}
}

// dropRun removes the oldest entry and the changes that follow it, and returns how many entries it has removed.
func (f *fifo) dropRun() (n int) {
	f.pop()
	for n = 1; !f.empty() && f.entries[0].Kind == snapshot.KindChanges; n++ {
		f.pop()
	}
	return n
}

// head returns the oldest entries: at most n, and at most limit bytes of JSON, but at least one.
func (f *fifo) head(n, limit int) []Entry {
	size := 0
	for i := range f.entries {
		size += len(f.entries[i].JSON)
		if i == n || i > 0 && size > limit {
			return f.entries[:i]
		}
	}
	return f.entries
}
