//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// orphanTimeout is how long processes of a killed postmaster have to end by themselves after a signal.
	orphanTimeout = 3 * time.Second
	orphanPoll    = 50 * time.Millisecond
)

// isPostmaster reports whether a process runs and, where that can be read, is a server of PostgreSQL that works in the
// directory data. After a crash of the machine, another process can have the process id, also one of another cluster.
// In a container, nothing may wait for a process that has ended. It returns an error if it could not be found out, for
// example because this process has no file descriptors left.
func isPostmaster(pid int, data string) (bool, error) {
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false, nil
	}
	if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "stat")); errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	isServer, err := isServerProcess(pid)
	return isServer && worksIn(pid, data, true), err
}

// isServerProcess reports whether a process is one of PostgreSQL that has not ended. It returns an error if it could
// not be found out.
func isServerProcess(pid int) (bool, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find out whether process %d is PostgreSQL: %w", pid, err)
	}
	_, rest, found := strings.Cut(string(stat), "(postgres) ")
	return found && !strings.HasPrefix(rest, "Z"), nil
}

// worksIn reports whether the working directory of a process is a directory. All processes of a cluster work in its
// data directory. It returns otherwise if that cannot be read.
func worksIn(pid int, data string, otherwise bool) bool {
	own, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	if err != nil {
		return otherwise
	}
	wanted, err := os.Stat(data)
	if err != nil {
		return otherwise
	}
	return os.SameFile(own, wanted)
}

// processes returns the processes of the cluster, as far as the system has /proc.
func (c *Cluster) processes() (pids []int, err error) {
	entries, err := os.ReadDir("/proc")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the processes of the cluster: %w", err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		isServer, err := isServerProcess(pid)
		if err != nil {
			return nil, err
		}
		if isServer && worksIn(pid, c.data(), false) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// isShortage reports whether an error means that this process or the system is short of file descriptors or memory.
func isShortage(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// clearRemains ends what a killed postmaster has left: PostgreSQL does not start while one of its processes uses the
// shared memory, and one that computes does not notice that the postmaster has ended. It also removes lock files whose
// process id belongs to another program by now, or to a process that has ended and that nothing waits for.
func (c *Cluster) clearRemains(ctx context.Context) error {
	isRunning, err := c.isRunning()
	if err != nil || isRunning {
		return err
	}
	pid, err := c.PID()
	if err != nil || pid <= 0 {
		return nil //nolint:nilerr // there is no postmaster.pid, or it has no process id
	}
	// One that answers without a process here runs in another namespace of processes.
	if err := c.ping(ctx); err == nil || isShortage(err) {
		return err
	}
	for _, signal := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		orphans, err := c.processes()
		if err != nil {
			return err
		}
		if len(orphans) == 0 {
			break
		}
		c.cfg.Logger.Warn("ending processes of a killed postmaster", "pids", orphans, "signal", signal.String())
		if c.endProcesses(ctx, orphans, signal) {
			break
		}
	}
	if left, err := c.processes(); err != nil {
		return err
	} else if len(left) > 0 {
		return fmt.Errorf("processes of a killed postmaster do not end: %v", left)
	}
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return nil // PostgreSQL sees that too
	}
	c.cfg.Logger.Warn("removing postmaster.pid: its process is not one of the private database", "pid", pid)
	for _, path := range []string{
		filepath.Join(c.data(), "postmaster.pid"), filepath.Join(c.socket, ".s.PGSQL.5432.lock"),
	} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove a lock file of a killed postmaster: %w", err)
		}
	}
	return nil
}

// endProcesses sends a signal to processes, and reports whether all of them end in time.
func (c *Cluster) endProcesses(ctx context.Context, pids []int, signal syscall.Signal) bool {
	for _, pid := range pids {
		_ = syscall.Kill(pid, signal)
	}
	for deadline := time.Now().Add(orphanTimeout); time.Now().Before(deadline); {
		pids = slices.DeleteFunc(pids, func(pid int) bool {
			isServer, err := isServerProcess(pid)
			return !isServer && err == nil
		})
		if len(pids) == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(orphanPoll):
		}
	}
	return false
}

// interrupt stops the cluster as pg_ctl does, for a cluster whose programs were removed.
func (c *Cluster) interrupt(ctx context.Context) error {
	isRunning, err := c.isRunning()
	if err != nil || !isRunning {
		return err
	}
	pid, err := c.PID()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		return fmt.Errorf("stop the cluster: %w", err)
	}
	for {
		if isRunning, err := isPostmaster(pid, c.data()); err == nil && !isRunning {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stop the cluster: %w", ctx.Err())
		case <-time.After(orphanPoll):
		}
	}
	_ = os.Remove(c.socket)
	return nil
}
