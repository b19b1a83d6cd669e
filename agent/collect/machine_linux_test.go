package collect

import (
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The description follows the host name, which an administrator can change while the agent runs.
func TestDescriptionFollowsTheHostname(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a namespace with another host name needs root")
	}
	runtime.LockOSThread() // the namespace belongs to the thread, which ends with the test
	if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
		t.Skipf("this machine allows no namespace for host names: %v", err)
	}
	rename := func(name string) {
		t.Helper()
		if err := unix.Sethostname([]byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	rename("before")
	now := time.Now()
	machine := Machine(t.Context(), "m", "1.0")
	d := NewDescription(machine, now)
	if got := d.Machine(t.Context(), now); got.Hostname != "before" || got != machine {
		t.Errorf("%+v, want %+v", got, machine)
	}
	rename("after")
	if got := d.Machine(t.Context(), now.Add(recheckEvery-1)); got.Hostname != "before" {
		t.Errorf("the host name is %q before the next check", got.Hostname)
	}
	got := d.Machine(t.Context(), now.Add(recheckEvery))
	if got.Hostname != "after" {
		t.Errorf("the host name is %q, want the new one", got.Hostname)
	}
	if got.Hostname = machine.Hostname; got != machine {
		t.Errorf("the rest changed too: %+v, want %+v", got, machine)
	}
	d.machine.TotalRAM, d.machine.CPUCount = 1, 1 // the machine gets more memory and cores
	if got := d.Machine(t.Context(), now.Add(describeEvery)); got.TotalRAM != machine.TotalRAM ||
		got.CPUCount != machine.CPUCount || got.MachineID != "m" || got.AgentVersion != "1.0" {
		t.Errorf("%+v, want %+v", got, machine)
	}
}
