package ingest_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/ingest"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// lateBlocker delays groups with late batches until open is closed.
type lateBlocker struct {
	store   *store.Store
	waiting chan struct{} // receives before it waits
	open    chan struct{}

	mu    sync.Mutex
	order []string // machines, in the order of their batches
}

func (w *lateBlocker) Write(ctx context.Context, group []*snapshot.Batch) []snapshot.WriteResult {
	for _, batch := range group {
		if batch.IsLate(snapshot.TimeOf(time.Now())) {
			w.waiting <- struct{}{}
			<-w.open
			break
		}
	}
	w.mu.Lock()
	for _, batch := range group {
		w.order = append(w.order, batch.MachineID)
	}
	w.mu.Unlock()
	return w.store.Write(ctx, group)
}

// Live posts are stored while late ones wait, for example for a chunk that is being compressed. A live post of the
// same machine waits for its turn.
func TestLivePostsDoNotWaitForLateOnes(t *testing.T) {
	t.Parallel()
	w := &lateBlocker{store: storetest.Open(t, nil), waiting: make(chan struct{}, 10), open: make(chan struct{})}
	i, url := serve(t, ingest.Config{Writers: 1}, w)
	late := snapshottest.NewMachine(1, 5).Series(snapshot.TimeOf(time.Now().Add(-72*time.Hour)), 2, time.Second, 2)
	live := func() snapshot.Snapshot { return snapshot.Snapshot{Timestamp: snapshot.TimeOf(time.Now())} }

	responses := make(chan response, 2)
	go func() { responses <- post(t, url, encode(t, "late", late.Snapshots...)) }()
	<-w.waiting
	answered := make(chan response, 1)
	go func() { answered <- post(t, url, encode(t, "live", live())) }()
	ctx, cancel := testwait.Context(t)
	defer cancel()
	select {
	case got := <-answered:
		if got.status != http.StatusCreated {
			t.Errorf("live post: %d %+v", got.status, got.Problem)
		}
	case <-ctx.Done():
		t.Error("the live post waits for the late one")
	}
	go func() { responses <- post(t, url, encode(t, "late", live())) }()
	close(w.open)
	for range 2 {
		if got := <-responses; got.status != http.StatusCreated {
			t.Errorf("post of the late machine: %d %+v", got.status, got.Problem)
		}
	}
	i.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) != 3 || w.order[0] != "live" {
		t.Errorf("order of the batches: %v", w.order)
	}
}
