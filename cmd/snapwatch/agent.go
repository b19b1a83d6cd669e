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

// agentProgram returns the path of the agent's program, which must be in the folder of this program.
func agentProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	program := filepath.Join(filepath.Dir(self), "snapwatch-agent")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("find the agent beside the server: %w; use snapwatch serve to run without an agent", err)
	}
	return program, nil
}

// superviseAgent runs an agent until ctx ends, and restarts it if it exits. The agent gets the enrolment
// key, which it needs when it has no token, in the environment, because other users can see arguments.
func superviseAgent(ctx context.Context, program string, arguments []string, key string, logger *slog.Logger) {
	// The kernel ends the agent when the thread that started it ends (see childOfThread), so the thread
	// must exist as long as this function runs.
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
		logger.Error("the agent exited; restarting it", "wait", agentRestart, "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(agentRestart):
		}
	}
}
