package agent

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

// While much waits, the newest run is sent after the first batch of it, and what is added
// to it after each further one; and all is sent in its turn.
func TestTheNewestGoAhead(t *testing.T) {
	t.Parallel()
	const waiting = 4*batchLimit + 5
	var posts [][]snapshot.Time
	a, add := waitingAgent(t, func(_ http.ResponseWriter, b *snapshot.Batch) bool {
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
	for next := waiting + 1; a.sender.queue.ready(); next++ {
		if result, err := a.sender.step(t.Context()); err != nil || result != accepted {
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
		sequence(1, 100), sequence(401, 405), // 401 is the newest full one
		sequence(101, 200), sequence(406, 406),
		sequence(201, 300), // little waits before it now
		sequence(301, 400),
		sequence(401, 408),
	}
	if !slices.EqualFunc(posts, want, slices.Equal) {
		for _, list := range posts {
			t.Logf("%d to %d", list[0], list[len(list)-1])
		}
		t.Error("posted in another order")
	}
}

// A server that does not take them ahead gets them in their turn.
func TestTheNewestAreRefusedAhead(t *testing.T) {
	t.Parallel()
	var taken []snapshot.Time
	ahead := 0
	a, add := waitingAgent(t, func(w http.ResponseWriter, b *snapshot.Batch) bool {
		if first := b.Snapshots[0].Timestamp; int(first) != len(taken)+1 {
			ahead++
			return refuse(http.StatusConflict, `{"code":"out_of_order","snapshot":0}`)(w, b)
		}
		for i := range b.Snapshots {
			taken = append(taken, b.Snapshots[i].Timestamp)
		}
		return false
	})
	for i := 1; i <= 3*batchLimit; i++ {
		add(i)
	}
	for a.sender.queue.ready() {
		if result, err := a.sender.step(t.Context()); err != nil || result != accepted {
			t.Fatal(result, err)
		}
	}
	if len(taken) != 3*batchLimit || ahead != 1 {
		t.Errorf("%d are taken, %d posts were ahead", len(taken), ahead)
	}
}

// waitingAgent is an agent of a server that obeys a script for ever; every tenth of the
// snapshots that add queues is a full one.
func waitingAgent(t *testing.T, script func(http.ResponseWriter, *snapshot.Batch) bool) (*Agent, func(int)) {
	t.Helper()
	server := &scripted{seen: make(chan struct{}, 1000)}
	for range 1000 {
		server.script = append(server.script, script)
	}
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	a, err := New(
		t.Context(), Config{Server: web.URL, StateDir: t.TempDir(), MachineID: "m", Token: "the test's"}, quiet(),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.lock.Close() })
	return a, func(i int) {
		kind := snapshot.KindChanges
		if i%10 == 1 {
			kind = snapshot.KindFull
		}
		a.sender.queue.add(
			queued{
				at:   snapshot.Time(i),
				kind: kind,
				json: fmt.Appendf(nil, `{"timestamp":"%s","kind":"%s"}`, snapshot.Time(i), kind),
			},
		)
	}
}

func TestTheRunIsBounded(t *testing.T) {
	var r run
	r.add(queued{number: 1, kind: snapshot.KindChanges, json: []byte("{}")})
	if len(r.list) != 0 {
		t.Error("changes are kept without what they rest on")
	}
	large := make([]byte, maxRun/2)
	r.add(queued{number: 2, kind: snapshot.KindFull, json: large})
	r.add(queued{number: 3, kind: snapshot.KindChanges, json: large})
	if len(r.list) != 2 {
		t.Errorf("%d are kept at the bound", len(r.list))
	}
	r.add(queued{number: 4, kind: snapshot.KindChanges, json: []byte("{}")})
	r.add(queued{number: 5, kind: snapshot.KindChanges, json: []byte("{}")})
	if len(r.list) != 0 {
		t.Errorf("%d are kept beyond the bound", len(r.list))
	}
	if r.add(queued{number: 6, kind: snapshot.KindFull, json: []byte("{}")}); len(r.list) != 1 {
		t.Error("the next run is not kept")
	}
}
