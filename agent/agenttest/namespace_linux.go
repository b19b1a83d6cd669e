package agenttest

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// namespaceVariable has the name of the test that runs in namespaces of its own.
const namespaceVariable = "SNAPWATCH_TEST_NAMESPACE"

// InNamespaces runs the calling test again in a process with namespaces of its own, such as syscall.CLONE_NEWNS, and
// returns true there. In the first process it returns false, after the other one has ended. The test is skipped if it
// may not create namespaces.
func InNamespaces(t *testing.T, flags uintptr) bool {
	t.Helper()
	if os.Getenv(namespaceVariable) == t.Name() {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("only root may create namespaces")
	}
	inner := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	inner.Env = append(os.Environ(), namespaceVariable+"="+t.Name())
	inner.SysProcAttr = &syscall.SysProcAttr{Unshareflags: flags}
	out, err := inner.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("this process may not create namespaces")
	}
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	return false
}
