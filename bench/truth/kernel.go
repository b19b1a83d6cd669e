//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// kernelLog holds what the kernel has counted for the whole machine, at short intervals.
type kernelLog struct {
	mu       sync.Mutex
	readings []kernelReading
	err      error
}

type kernelReading struct {
	at   time.Time
	busy time.Duration // user, nice and system time of all cores
	used int64         // memory that is not available, in bytes
	load int           // threads that run or want to, without the one that reads
}

// readEvery is the time between two readings.
const readEvery = 20 * time.Millisecond

// start starts to read until stop is called.
func (l *kernelLog) start() (stop func()) {
	end := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(readEvery)
		defer ticker.Stop()
		for {
			r, err := readKernel()
			l.mu.Lock()
			l.readings, l.err = append(l.readings, r), errors.Join(l.err, err)
			l.mu.Unlock()
			if err != nil {
				return
			}
			select {
			case <-end:
				return
			case <-ticker.C:
			}
		}
	})
	return func() {
		close(end)
		running.Wait()
	}
}

func readKernel() (r kernelReading, err error) {
	r.at = time.Now()
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return r, err
	}
	first, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := strings.Fields(string(first))
	if len(fields) < 4 {
		return r, fmt.Errorf("/proc/stat begins with %q", first)
	}
	for _, field := range fields[1:4] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return r, err
		}
		r.busy += time.Duration(ticks) * (time.Second / userTicks)
	}
	_, running, _ := strings.Cut(string(stat), "\nprocs_running ")
	running, _, _ = strings.Cut(running, "\n")
	if r.load, err = strconv.Atoi(running); err != nil {
		return r, err
	}
	r.load--
	total, err := kibibytes("/proc/meminfo", "MemTotal")
	if err != nil {
		return r, err
	}
	available, err := kibibytes("/proc/meminfo", "MemAvailable")
	r.used = total - available
	return r, err
}

// userTicks is USER_HZ, the unit of times in /proc, in a second.
const userTicks = 100

// kibibytes returns the value of a line with a number of kB, in bytes.
func kibibytes(path, name string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no line %s", path, name)
}

// busy returns the busy time of all cores between two times.
func (l *kernelLog) busy(from, to time.Time) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.readings) < 2 || l.err != nil {
		return 0, errors.Join(errors.New("the kernel's counters are unknown"), l.err)
	}
	at := func(t time.Time) time.Duration {
		for i := 1; i < len(l.readings); i++ {
			if before, after := &l.readings[i-1], &l.readings[i]; !after.at.Before(t) {
				share := float64(t.Sub(before.at)) / float64(after.at.Sub(before.at))
				return before.busy + time.Duration(share*float64(after.busy-before.busy))
			}
		}
		return l.readings[len(l.readings)-1].busy
	}
	return at(to) - at(from), nil
}

// used returns the least and the most memory that was used between two times.
func (l *kernelLog) used(from, to time.Time) (low, high int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.readings {
		if r.at.Before(from) || r.at.After(to) {
			continue
		}
		if high == 0 {
			low = r.used
		}
		low, high = min(low, r.used), max(high, r.used)
	}
	if high == 0 {
		return 0, 0, errors.Join(errors.New("the used memory is unknown"), l.err)
	}
	return low, high, nil
}

// load returns the average load between two times.
func (l *kernelLog) load(from, to time.Time) (float64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum, n := 0, 0
	for _, r := range l.readings {
		if !r.at.Before(from) && !r.at.After(to) {
			sum, n = sum+r.load, n+1
		}
	}
	if n == 0 {
		return 0, errors.Join(errors.New("the load is unknown"), l.err)
	}
	return float64(sum) / float64(n), nil
}

// kernelTick returns the time between two ticks of the kernel.
func kernelTick() (time.Duration, error) {
	var resolution unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &resolution); err != nil {
		return 0, err
	}
	return time.Duration(resolution.Nano()), nil
}

// Numbers of the initial namespaces, from linux/proc_ns.h.
const (
	initialUsers = "user:[4026531837]"
	initialPIDs  = "pid:[4026531836]"
)

// precondition returns why the cases cannot run here.
func precondition() error {
	if os.Geteuid() != 0 {
		return errors.New("needs root, because the kernel reports exits and execs only to root")
	}
	users, err := os.Readlink("/proc/self/ns/user")
	if err != nil {
		return err
	}
	pids, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return err
	}
	if users != initialUsers || pids != initialPIDs {
		return errors.New("needs to run outside of containers, because the kernel reports exits only there")
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, effective, _ := strings.Cut(string(status), "\nCapEff:\t")
	effective, _, _ = strings.Cut(effective, "\n")
	capabilities, err := strconv.ParseUint(effective, 16, 64)
	if err != nil {
		return err
	}
	for _, needed := range []int{unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE} {
		if capabilities&(1<<needed) == 0 {
			return fmt.Errorf("needs capability %d, which this root lacks", needed)
		}
	}
	return nil
}
