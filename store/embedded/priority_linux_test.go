package embedded

import (
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/internal/testlog"
)

// A process with lower priority is nicer, and leaves one of its CPUs to the others.
func TestLowerPriority(t *testing.T) {
	process := exec.CommandContext(t.Context(), "sleep", "600")
	process.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	}()
	pid := process.Process.Pid
	var before, after unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &before); err != nil {
		t.Fatal(err)
	}
	cluster := &Cluster{cfg: Config{Logger: testlog.Logger()}}
	for range 2 { // the second changes nothing
		cluster.LowerPriority(uint32(pid))
	}
	// The system call returns 20 minus the niceness.
	if priority, err := unix.Getpriority(unix.PRIO_PROCESS, pid); err != nil || priority != 20-readNiceness {
		t.Errorf("priority %d, %v", priority, err)
	}
	if err := unix.SchedGetaffinity(pid, &after); err != nil {
		t.Fatal(err)
	}
	if want := max(before.Count()-1, 1); after.Count() != want {
		t.Errorf("%d CPUs of %d, want %d", after.Count(), before.Count(), want)
	}
}
