package main

import "syscall"

// childOfThread puts the agent into a process group of its own, so that Ctrl-C
// reaches us alone and we stop things in order, and has the kernel end it if we
// are killed: an agent without its server would fill its queue for nobody.
func childOfThread() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
