package bpf_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/agent/bpf"
	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/internal/testwait"
)

// capabilitiesHelper is set in the environment of the process that TestCapabilities starts.
const capabilitiesHelper = "SNAPWATCH_TEST_CAPABILITIES"

// A user that has nothing but CAP_BPF and CAP_PERFMON can read processes. With one of them alone, the error says that
// it is not permitted.
func TestCapabilities(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("changing the user needs root")
	}
	const nobody = 54322 // tests of other packages count the processes of other users
	open(t)
	for name, test := range map[string]struct {
		capabilities []uintptr
		want         string
	}{
		"both":    {[]uintptr{unix.CAP_BPF, unix.CAP_PERFMON}, "the child has ended"},
		"BPF":     {[]uintptr{unix.CAP_BPF}, "operation not permitted"},
		"PERFMON": {[]uintptr{unix.CAP_PERFMON}, "operation not permitted"},
		"none":    {nil, "operation not permitted"},
	} {
		t.Run(name, func(t *testing.T) {
			helper := exec.Command("/proc/self/exe", "-test.run=^TestCapabilitiesHelper$")
			helper.Dir = "/"
			helper.Env = append(os.Environ(), capabilitiesHelper+"=1")
			helper.SysProcAttr = &syscall.SysProcAttr{
				Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
				AmbientCaps: test.capabilities,
			}
			out, err := helper.CombinedOutput()
			if err != nil || !strings.Contains(string(out), test.want) {
				t.Errorf("%v: %s, want %q", err, out, test.want)
			}
		})
	}
}

// TestCapabilitiesHelper prints whether the end of a child is seen, or why BPF cannot be used.
func TestCapabilitiesHelper(t *testing.T) {
	if os.Getenv(capabilitiesHelper) == "" {
		t.Skip("TestCapabilities starts it")
	}
	k, err := bpf.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer k.Close()
	w := k.WatchExits(nil, procfs.NewUsers())
	child := exec.Command("true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	isChild := func(p exits.Process) bool { return p.PID == int32(child.Process.Pid) && p.CPU > 0 && p.Name == "true" }
	testwait.Until(t, "the end of the child", func() bool {
		if _, err := k.Tasks(); err != nil {
			t.Fatal(err)
		}
		list, _, _ := w.Fetch(time.Now())
		return slices.ContainsFunc(list, isChild)
	})
	fmt.Println("the child has ended")
}
