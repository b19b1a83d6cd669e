//go:build !linux

package main

import "syscall"

// childOfThread has no means outside Linux to end the agent with us.
func childOfThread() *syscall.SysProcAttr { return nil }
