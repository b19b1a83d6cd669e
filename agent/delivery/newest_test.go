package delivery

import (
	"net/http"
	"slices"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

// While many snapshots wait, the newest run is sent after the first batch, and what was added to it after each further
// batch. All snapshots are sent in their turn as well.
func TestNewestRunIsSentAhead(t *testing.T) {
	t.Parallel()
	const waiting = 4*batchLimit + 5
	var posts [][]snapshot.Time
	s, add := waitingSender(t, func(_ http.ResponseWriter, b *snapshot.Batch) bool {
		var list []snapshot.Time
		for i := range b.Snapshots {
			list = append(list, b.Snapshots[i].Timestamp)
		}
		posts = append(posts, list)
		return false
	})
	for i := 1; i <= waiting; i++ {
		add(i)
	}
	for next := waiting + 1; s.queue.Ready(); next++ {
		if result, err := s.step(t.Context()); err != nil || result != accepted {
			t.Fatal(result, err)
		}
		if next <= waiting+3 {
			add(next)
		}
	}
	sequence := func(from, to int) (list []snapshot.Time) {
		for i := from; i <= to; i++ {
			list = append(list, snapshot.Time(i))
		}
		return list
	}
	want := [][]snapshot.Time{
		sequence(1, 100), sequence(401, 405), // 401 is the newest full snapshot
		sequence(101, 200), sequence(406, 406),
		sequence(201, 300), // few snapshots wait before it now
		sequence(301, 400),
		sequence(401, 408),
	}
	if !slices.EqualFunc(posts, want, slices.Equal) {
		for _, list := range posts {
			t.Logf("%d to %d", list[0], list[len(list)-1])
		}
		t.Error("the posts have another order")
	}
}

// A server that refuses snapshots ahead of the rest gets them in their turn.
func TestNewestRunIsRefusedAhead(t *testing.T) {
	t.Parallel()
	var stored []snapshot.Time
	ahead := 0
	s, add := waitingSender(t, func(w http.ResponseWriter, b *snapshot.Batch) bool {
		if first := b.Snapshots[0].Timestamp; int(first) != len(stored)+1 {
			ahead++
			return refuse(http.StatusConflict, `{"code":"out_of_order","snapshot":0}`)(w, b)
		}
		for i := range b.Snapshots {
			stored = append(stored, b.Snapshots[i].Timestamp)
		}
		return false
	})
	for i := 1; i <= 3*batchLimit; i++ {
		add(i)
	}
	for s.queue.Ready() {
		if result, err := s.step(t.Context()); err != nil || result != accepted {
			t.Fatal(result, err)
		}
	}
	if len(stored) != 3*batchLimit || ahead != 1 {
		t.Errorf("%d are stored, %d posts were sent ahead", len(stored), ahead)
	}
}

// waitingSender returns a sender whose server handles every post with the given step, and a function that queues
// snapshots: every tenth is full.
func waitingSender(t *testing.T, step scriptStep) (*Sender, func(int)) {
	t.Helper()
	server := &scriptedServer{script: slices.Repeat([]scriptStep{step}, 1000)}
	s, _ := newTestSender(t, senderSettings{server: server.start(t), token: "token"})
	return s, func(i int) {
		kind := snapshot.KindChanges
		if i%10 == 1 {
			kind = snapshot.KindFull
		}
		s.queue.Add(entry(i, kind))
	}
}

func TestNewestRunIsBounded(t *testing.T) {
	var r newestRun
	r.add(Entry{Number: 1, Kind: snapshot.KindChanges, JSON: []byte("{}")})
	if len(r.entries) != 0 {
		t.Error("changes are stored without their full snapshot")
	}
	large := make([]byte, maxNewestRun/2)
	r.add(Entry{Number: 2, Kind: snapshot.KindFull, JSON: large})
	r.add(Entry{Number: 3, Kind: snapshot.KindChanges, JSON: large})
	if len(r.entries) != 2 {
		t.Errorf("%d are stored at the bound", len(r.entries))
	}
	r.add(Entry{Number: 4, Kind: snapshot.KindChanges, JSON: []byte("{}")})
	r.add(Entry{Number: 5, Kind: snapshot.KindChanges, JSON: []byte("{}")})
	if len(r.entries) != 0 {
		t.Errorf("%d are stored beyond the bound", len(r.entries))
	}
	if r.add(Entry{Number: 6, Kind: snapshot.KindFull, JSON: []byte("{}")}); len(r.entries) != 1 {
		t.Error("the next run is not stored")
	}
}
