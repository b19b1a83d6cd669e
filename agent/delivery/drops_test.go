package delivery

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/snapshot"
)

// The snapshot after dropped ones reports how many there were, once, and also after a restart.
func TestDropsAreReportedOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dropped")
	open := func() *Queue {
		q := NewMemoryQueue(300, testlog.Logger())
		q.drops = loadUnreportedDrops(file)
		return q
	}
	add := func(q *Queue, from, to int) {
		for i := from; i <= to; i++ {
			const format = `{"timestamp":"%s","kind":"full","machine_snapshot":{"load1":%d},"processes":[]}`
			text := fmt.Appendf(nil, format, snapshot.Time(i), i)
			q.Add(Entry{Timestamp: snapshot.Time(i), Kind: snapshot.KindFull, JSON: text})
		}
	}
	q := open()
	add(q, 1, 10)
	_, _, dropped := q.Size()
	head := q.Head(2, 1<<20)
	if dropped == 0 || head[0].dropped != int64(dropped) || head[1].dropped != 0 {
		t.Fatalf("%d were dropped, %d are reported", dropped, head[0].dropped)
	}
	var sent, queued snapshot.Snapshot
	for s, text := range map[*snapshot.Snapshot][]byte{&sent: head[0].body(), &queued: head[0].JSON} {
		if err := json.Unmarshal(text, s); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	if n := sent.Machine.DroppedSnapshots; n == nil || *n != int64(dropped) {
		t.Errorf("the body reports %v drops, want %d", n, dropped)
	}
	sent.Machine.DroppedSnapshots = nil
	got, sentErr := json.Marshal(&sent)
	want, queuedErr := json.Marshal(&queued)
	if sentErr != nil || queuedErr != nil || !bytes.Equal(got, want) {
		t.Errorf("besides the drops the body has %s, want %s", got, want)
	}
	q = open() // the agent was killed before it was sent
	add(q, 11, 11)
	if head = q.Head(1, 1); head[0].dropped != int64(dropped) {
		t.Errorf("after a restart %d are reported", head[0].dropped)
	}
	q.Remove(head[0].Number)
	add(q, 12, 12)
	if head = q.Head(1, 1); head[0].dropped != 0 {
		t.Errorf("%d are reported again", head[0].dropped)
	}
	if q = open(); q.drops.count != 0 {
		t.Errorf("after another restart %d are reported again", q.drops.count)
	}
}
