//go:build !linux

package main

import "syscall"

// childOfThread returns no attributes: only Linux can end the agent together with this program.
func childOfThread() *syscall.SysProcAttr { return nil }
