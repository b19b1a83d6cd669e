package writer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

func TestTransactionsDoNotMixLateHours(t *testing.T) {
	now := snapshot.TimeOf(time.Date(2026, 5, 20, 12, 0, 30, 0, time.UTC))
	batch := func(machineID string, age time.Duration) *snapshot.Batch {
		return &snapshot.Batch{MachineID: machineID, Snapshots: []snapshot.Snapshot{{Timestamp: now.Add(-age)}}}
	}
	group := []*snapshot.Batch{
		batch("a", time.Minute),
		batch("b", 26*time.Hour),
		batch("c", time.Hour),
		batch("b", time.Second),
		batch("d", 26*time.Hour+time.Minute),
		batch("e", 50*time.Hour),
	}
	pending := []int{0, 1, 2, 3, 4, 5}
	var transactions []string
	for len(pending) > 0 {
		var selected []int
		selected, pending = nextTransaction(group, pending, now)
		transactions = append(transactions, fmt.Sprint(selected))
	}
	if got := strings.Join(transactions, " "); got != "[0 2] [1] [3] [4] [5]" {
		t.Errorf("transactions %s", got) // keep the order of b's batches; d has another hour than b
	}
}

// The cache keeps the last two runs of a machine, and take removes a run.
func TestRunCacheKeepsALateRun(t *testing.T) {
	t.Parallel()
	c := newRunCache(100)
	end := func(ts snapshot.Time) *run {
		return &run{ts: ts, processes: map[snapshot.ProcessKey]runningProcess{{PID: 1}: {}}}
	}
	for _, ts := range []snapshot.Time{10, 5, 20} {
		c.put(1, end(ts))
	}
	c.put(2, end(5))
	if c.take(1, 10) != nil {
		t.Error("a third run was kept")
	}
	if c.take(1, 5) == nil || c.take(1, 5) != nil || c.take(1, 20) == nil || c.take(2, 20) != nil {
		t.Error("a run was not returned exactly once, for its machine")
	}
	c.put(1, end(7))
	c.dropBefore(6)
	if c.take(2, 5) != nil || c.take(1, 7) == nil || c.held != 0 || c.order.Len() != 0 || len(c.byMachine) != 0 {
		t.Errorf("%d held, %d in order, %d machines", c.held, c.order.Len(), len(c.byMachine))
	}
}

func TestLiveBatchesAreWrittenFirst(t *testing.T) {
	t.Parallel()
	now := snapshot.TimeOf(time.Date(2026, 5, 20, 12, 0, 30, 0, time.UTC))
	batch := func(machineID string, age time.Duration) *snapshot.Batch {
		return &snapshot.Batch{MachineID: machineID, Snapshots: []snapshot.Snapshot{{Timestamp: now.Add(-age)}}}
	}
	order := liveFirst([]*snapshot.Batch{
		batch("a", 26*time.Hour), batch("b", time.Minute), batch("a", time.Second), {MachineID: "c"},
		batch("b", 3*time.Hour),
	}, now)
	if got := fmt.Sprint(order); got != "[1 3 0 2 4]" {
		t.Errorf("order %s", got) // the live batch of a stays behind its late one
	}
}
