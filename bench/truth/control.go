//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// workload is a running workload. See workloads.
type workload struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *json.Decoder
}

// environmentPadding makes the environment of a workload long enough for any command line.
var environmentPadding = "SNAPWATCH_TRUTH_PADDING=" + strings.Repeat("-", 1000)

// startWorkload starts a workload, which then waits for its first step. attributes may be nil.
func (b *bench) startWorkload(attributes *syscall.SysProcAttr, arguments ...string) (*workload, error) {
	return b.startProcess(attributes, append([]string{b.self, workloadArgument}, arguments...)...)
}

// startProcess starts a program that waits for lines like a workload.
func (b *bench) startProcess(attributes *syscall.SysProcAttr, command ...string) (*workload, error) {
	w := &workload{cmd: exec.Command(command[0], command[1:]...)}
	w.cmd.Env = append(os.Environ(), environmentPadding)
	w.cmd.Stderr = b.log
	w.cmd.SysProcAttr = attributes
	var err error
	if w.input, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.output = json.NewDecoder(bufio.NewReader(output))
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a workload: %w", err)
	}
	b.mu.Lock()
	b.running = append(b.running, w)
	b.mu.Unlock()
	return w, nil
}

func (w *workload) pid() int { return w.cmd.Process.Pid }

// begin lets the workload do its next step.
func (w *workload) begin() error {
	_, err := io.WriteString(w.input, "\n")
	return err
}

// step lets the workload do its next step, and returns its report.
func (w *workload) step(ctx context.Context) (r report, err error) {
	if err := w.begin(); err != nil {
		return r, err
	}
	defer context.AfterFunc(ctx, func() { _ = w.cmd.Process.Kill() })()
	if err := w.output.Decode(&r); err != nil {
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		return r, fmt.Errorf("workload %s: %w", strings.Join(w.cmd.Args[1:], " "), err)
	}
	return r, nil
}

// wait waits for the end of the process, and returns its CPU time.
func (w *workload) wait(ctx context.Context) (burned, error) {
	defer context.AfterFunc(ctx, func() { _ = w.cmd.Process.Kill() })()
	if err := w.cmd.Wait(); err != nil {
		return burned{}, fmt.Errorf("workload %s: %w", strings.Join(w.cmd.Args[1:], " "), err)
	}
	usage, ok := w.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return burned{}, errors.New("the CPU time of a process is unknown")
	}
	return burned{w.pid(), cpuOf(usage)}, nil
}

// stop ends the input of the workload, and waits for its end.
func (w *workload) stop() {
	_ = w.input.Close()
	_ = w.cmd.Wait()
}

// stopWorkloads stops all workloads.
func (b *bench) stopWorkloads() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.running {
		_ = w.cmd.Process.Kill()
		w.stop()
	}
	b.running = nil
}
