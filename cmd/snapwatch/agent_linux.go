package main

import "syscall"

// childOfThread returns attributes for a child process that has a process group of its own, so that Ctrl-C
// reaches only this program, which stops things in order. The kernel ends the child when its parent thread
// ends: an agent without its server would only fill its queue.
func childOfThread() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
