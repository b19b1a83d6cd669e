package exits

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/procfs"
)

// Several threads exit before their process does. Processes beyond the bounds are counted.
func TestPendingProcessesAreBounded(t *testing.T) {
	w := &Watcher{
		since:  time.Now().Add(-time.Hour),
		groups: make(map[uint32]*threadTotals),
		users:  procfs.NewUsers(),
	}
	now := time.Now()
	w.add(exitRecord{pid: 2, group: 1, ran: 20 * time.Millisecond}, now)
	w.add(exitRecord{pid: 1, group: 1, ran: 10 * time.Millisecond, last: true, elapsed: time.Minute}, now)
	if len(w.pending) != 1 || len(w.groups) != 0 || !w.pending[0].Complete ||
		w.pending[0].CPUMin != 30*time.Millisecond {
		t.Errorf("%+v", w.pending)
	}
	for i := range uint32(MaxPending + 9) {
		w.add(exitRecord{pid: i, group: i, last: true}, now)
	}
	if len(w.pending) != MaxPending || w.missed != 10 {
		t.Errorf("%d processes are pending, %d are missed", len(w.pending), w.missed)
	}
	for i := range uint32(maxGroups + 1) {
		w.add(exitRecord{pid: i + 1, group: i}, now)
	}
	if len(w.groups) != 1 || !w.lossy {
		t.Errorf("%d groups, lossy %t", len(w.groups), w.lossy)
	}
}
