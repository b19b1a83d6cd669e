package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	agentRestart = 2 * time.Second
	agentGrace   = 10 * time.Second
)

// agentProgram finds the agent's binary beside our own.
func agentProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find our own program: %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", fmt.Errorf("find our own program: %w", err)
	}
	program := filepath.Join(filepath.Dir(self), "snapwatch-agent")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("find the agent beside the server: %w; run snapwatch serve to go without", err)
	}
	return program, nil
}

// superviseAgent keeps an agent running until ctx ends. The enrolment key is for the
// first time; it is not among the arguments, which everybody sees.
func superviseAgent(ctx context.Context, program string, arguments []string, key string, logger *slog.Logger) {
	// The kernel ends the agent when the thread that started it ends (see
	// childOfThread), so that thread must live as long as this function.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for ctx.Err() == nil {
		cmd := exec.CommandContext(ctx, program, arguments...)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		cmd.Env = append(os.Environ(), "SNAPWATCH_ENROLMENT_KEY="+key, "SNAPWATCH_TOKEN=")
		cmd.SysProcAttr = childOfThread()
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = agentGrace
		err := cmd.Run()
		if ctx.Err() != nil {
			return
		}
		logger.Error("the agent ended, starting it again", "wait", agentRestart, "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(agentRestart):
		}
	}
}
