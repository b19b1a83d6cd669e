package embedded

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel kill a command when the thread that starts it ends, so also when this program is
// killed. The caller must lock its goroutine to the thread until the command has ended.
func dieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
