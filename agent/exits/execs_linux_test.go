package exits

import (
	"os"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/procfs"
)

// The identities that are stored, and those that are read in a second, are bounded.
func TestExecsAreBounded(t *testing.T) {
	own := uint32(os.Getpid())
	w := newExecWatcher(nil, procfs.NewUsers())
	now := time.Now()
	for range maxExecs {
		w.record(own, 1, now)
	}
	if id, ok := w.take(own); !ok || id.CommandLine == "" || id.Name == "" || id.User == "" {
		t.Errorf("%+v", id)
	}
	if w.record(own, 1, now); len(w.recent) != 0 {
		t.Error("more than maxExecs identities are read in one second")
	}
	for i := range uint32(maxRecent) {
		w.recent[1<<30+i] = executed{}
	}
	if w.record(own, 1, now.Add(time.Second)); len(w.recent) != 1 {
		t.Errorf("%d identities are stored, want 1", len(w.recent))
	}
	w.recent[1], w.text = executed{}, maxRecentText+1
	if w.record(own, 1, now.Add(2*time.Second)); len(w.recent) != 1 {
		t.Errorf("%d identities are stored beyond the bound of bytes, want 1", len(w.recent))
	}
}
