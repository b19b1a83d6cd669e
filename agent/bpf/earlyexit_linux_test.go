package bpf

import (
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// Both programs that report the end of a process know its exit status and its peak memory.
func TestProgramsForExits(t *testing.T) {
	for _, name := range []string{onExit, onEarlyExit} {
		t.Run(name, func(t *testing.T) {
			k, err := openWith(name, ringBytes)
			if err != nil {
				t.Skipf("BPF cannot be used here: %v", err)
			}
			defer k.Close()
			w := k.WatchExits(nil, procfs.NewUsers())
			child := exec.Command("sh", "-c", "exit 3")
			_ = child.Run()
			if _, err := k.Tasks(); err != nil {
				t.Fatal(err)
			}
			list, _, _ := w.Fetch(time.Now())
			i := slices.IndexFunc(list, func(p exits.Process) bool { return p.PID == int32(child.Process.Pid) })
			if i < 0 {
				t.Fatal("the process has not ended")
			}
			p := list[i]
			if !snapshottest.SameExit(p.Exit, snapshot.ExitStatus{ExitCode: new(int16(3))}) || !p.Complete {
				t.Errorf("it ended with %+v", p)
			}
			isKnown := name == onEarlyExit || !isOlder(kernelRelease(), 6, 16)
			if p.PeakMemory >= 100<<10 != isKnown {
				t.Errorf("its peak memory is %d", p.PeakMemory)
			}
		})
	}
}
