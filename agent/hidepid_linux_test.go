package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/agent/collect"
	"github.com/snapwatch/snapwatch/snapshot"
)

// hidepidHelper is set in the environment of the process that TestHidepid starts: how that process mounts /proc, and
// its user, group and capability.
const hidepidHelper = "SNAPWATCH_TEST_HIDEPID"

type hidepidCase struct {
	Options    string
	UID, GID   int
	Capability bool // keep CAP_SYS_PTRACE
}

type hidepidResult struct {
	Finding   Finding
	WithBPF   Finding // if BPF were used
	Machine   snapshot.Machine
	Processes int
}

// An agent from which the mount of /proc hides other users' processes says so, unless its group or capability makes
// them visible.
func TestHidepid(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting /proc needs root")
	}
	const nobody, other = 54321, 12345 // a user without other processes
	for name, test := range map[string]struct {
		hidepidCase
		hidden string // the option in the finding
	}{
		"no option":                    {hidepidCase{"", nobody, nobody, false}, ""},
		"hidepid=2":                    {hidepidCase{"hidepid=2", nobody, nobody, false}, "hidepid="},
		"hidepid=1":                    {hidepidCase{"hidepid=1", nobody, nobody, false}, "hidepid="},
		"hidepid=2, in the group":      {hidepidCase{"hidepid=2,gid=12345", nobody, other, false}, ""},
		"hidepid=2, in another group":  {hidepidCase{"hidepid=2,gid=12345", nobody, nobody, false}, "hidepid="},
		"hidepid=2, in root's group":   {hidepidCase{"hidepid=2", nobody, 0, false}, ""},
		"hidepid=2 and the capability": {hidepidCase{"hidepid=2", nobody, nobody, true}, ""},
		"hidepid=2 and root":           {hidepidCase{"hidepid=2", 0, 0, true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(test.hidepidCase)
			if err != nil {
				t.Fatal(err)
			}
			helper := exec.Command(os.Args[0], "-test.run=^TestHidepidHelper$")
			helper.Env = append(os.Environ(), hidepidHelper+"="+string(text))
			helper.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			out, err := helper.CombinedOutput()
			if err != nil && strings.Contains(string(out), "operation not permitted") {
				t.Skipf("this machine does not allow to mount /proc: %s", out)
			}
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var got hidepidResult
			line, _, _ := strings.Cut(string(out), "\n")
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			hidden := test.hidden != ""
			if got.Machine.OwnProcessesOnly != hidden || got.Finding.OK == hidden || hidden != (got.Processes == 1) {
				t.Errorf("%+v", got)
			}
			const said = "only your own processes are visible: /proc is mounted with "
			if strings.Contains(got.Finding.Detail, said+"hidepid=") != hidden ||
				strings.Contains(got.Finding.Fix, "CAP_SYS_PTRACE") != hidden {
				t.Errorf("the finding is %+v", got.Finding)
			}
			if !got.WithBPF.OK || strings.Contains(got.WithBPF.Detail, "command lines") != hidden {
				t.Errorf("with BPF, the finding is %+v", got.WithBPF)
			}
		})
	}
}

// TestHidepidHelper runs in a mount namespace of its own and prints what an agent reports there.
func TestHidepidHelper(t *testing.T) {
	text := os.Getenv(hidepidHelper)
	if text == "" {
		t.Skip("TestHidepid starts it")
	}
	var test hidepidCase
	if err := json.Unmarshal([]byte(text), &test); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, test.Options); err != nil {
		t.Fatal(err)
	}
	if test.Capability { // keep the permitted capabilities of this thread
		runtime.LockOSThread()
		if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{syscall.Setgroups(nil), syscall.Setgid(test.GID), syscall.Setuid(test.UID)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if test.Capability && test.UID != 0 {
		if err := raiseCapability(unix.CAP_SYS_PTRACE); err != nil {
			t.Fatal(err)
		}
	}
	result := hidepidResult{
		Finding: checkVisibility(false), WithBPF: checkVisibility(true), Machine: collect.Machine(t.Context(), "m", ""),
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, err := os.ReadFile("/proc/" + entry.Name() + "/stat"); err == nil && entry.Name()[0] <= '9' {
			result.Processes++
		}
	}
	encoded, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(encoded))
}

// raiseCapability makes a permitted capability effective.
func raiseCapability(capability int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: 1 << capability, Permitted: 1 << capability}}
	return unix.Capset(&header, &data[0])
}
