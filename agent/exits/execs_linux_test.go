package exits

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/snapshot"
)

func TestParseExec(t *testing.T) {
	message := make([]byte, procEventBytes)
	binary.NativeEndian.PutUint32(message[procEventOffset:], procEventExec)
	binary.NativeEndian.PutUint32(message[execGroupOffset:], 4711)
	if group, ok := parseExec(message); !ok || group != 4711 {
		t.Error(group, ok)
	}
	if _, ok := parseExec(message[:procEventBytes-1]); ok {
		t.Error("an incomplete event is accepted")
	}
	message[procEventOffset] = 1 // a fork
	if _, ok := parseExec(message); ok {
		t.Error("a fork is accepted as an exec")
	}
}

// The identities that are stored, and those that are read in a second, are bounded.
func TestExecsAreBounded(t *testing.T) {
	own := uint32(os.Getpid())
	w := &execWatcher{identities: procfs.NewIdentityReader(nil), recent: make(map[uint32]snapshot.Identity)}
	now := time.Now()
	for range maxExecs {
		w.record(own, now)
	}
	if id, ok := w.take(own); !ok || id.CommandLine == "" || id.Name == "" || id.User == "" {
		t.Errorf("%+v", id)
	}
	if w.record(own, now); len(w.recent) != 0 {
		t.Error("more than maxExecs identities are read in one second")
	}
	for i := range uint32(maxRecent) {
		w.recent[1<<30+i] = snapshot.Identity{}
	}
	if w.record(own, now.Add(time.Second)); len(w.recent) != 1 {
		t.Errorf("%d identities are stored, want 1", len(w.recent))
	}
	w.recent[1], w.text = snapshot.Identity{}, maxRecentText
	if w.record(own, now.Add(2*time.Second)); len(w.recent) != 1 {
		t.Errorf("%d identities are stored beyond the bound of bytes, want 1", len(w.recent))
	}
}
