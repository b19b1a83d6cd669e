package bpf

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/procfs"
)

// Events that do not fit the buffer are counted. The list of ended processes is then not complete, and the next one is.
// A process whose end was lost is no longer known.
func TestBufferIsFull(t *testing.T) {
	k, err := open(uint32(os.Getpagesize()))
	if err != nil {
		t.Skipf("BPF cannot be used here: %v", err)
	}
	defer k.Close()
	w := k.WatchExits(nil, procfs.NewUsers())
	listed := exec.Command("sleep", "600")
	if err := listed.Start(); err != nil {
		t.Fatal(err)
	}
	tasks := func() {
		t.Helper()
		if _, err := k.Tasks(); err != nil {
			t.Fatal(err)
		}
	}
	tasks()
	k.mu.Lock() // events are not read
	for range 20 {
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	_ = listed.Process.Kill()
	_ = listed.Wait()
	k.mu.Unlock()
	tasks()
	_, _, complete := w.Fetch(time.Now())
	if k.Lost() == 0 || complete {
		t.Errorf("%d events are lost, complete: %t", k.Lost(), complete)
	}
	tasks()
	if _, _, complete := w.Fetch(time.Now()); !complete {
		t.Error("the next list is not complete")
	}
	tasks()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.groups[uint32(listed.Process.Pid)] != nil {
		t.Error("the process is still known")
	}
}
