//go:build linux

package main

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// burner is a process with one thread that uses a given CPU time and exits. A Go program always has several threads,
// and takes a millisecond to start, so a burner is forked without exec.
type burner struct {
	cpu    time.Duration // includes the fork
	nice   uintptr
	orphan bool // burn in a child, after this process has exited
	// report and hold are file descriptors. The burner writes a byte to report after it has used its CPU time, and then
	// waits for a byte from hold. If they are 0, it exits at once.
	report, hold int

	now  syscall.Timespec
	one  byte
	mode uintptr
}

// start starts the burner.
func (b *burner) start() (pid int, err error) {
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	child, errno := b.fork()
	if errno != 0 {
		return 0, errno
	}
	return int(child), nil
}

// fork runs the burner in a child. The child has no other thread, so it must not use Go's runtime: it makes only system
// calls, and its functions do not grow the stack.
//
//go:nosplit
//go:noinline
//go:norace
func (b *burner) fork() (uintptr, syscall.Errno) {
	child, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if child != 0 || errno != 0 {
		return child, errno
	}
	syscall.RawSyscall(syscall.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
	if b.nice != 0 {
		syscall.RawSyscall(syscall.SYS_SETPRIORITY, syscall.PRIO_PROCESS, 0, b.nice)
	}
	if b.orphan {
		b.outliveParent()
	}
	for b.used() < b.cpu {
		for range 10_000 {
			b.mode++
		}
	}
	if b.report != 0 {
		syscall.RawSyscall(syscall.SYS_WRITE, uintptr(b.report), uintptr(unsafe.Pointer(&b.one)), 1)
		syscall.RawSyscall(syscall.SYS_READ, uintptr(b.hold), uintptr(unsafe.Pointer(&b.one)), 1)
	}
	for {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// outliveParent continues in a child, and waits there until this process has exited.
//
//go:nosplit
//go:norace
func (b *burner) outliveParent() {
	self, _, _ := syscall.RawSyscall(syscall.SYS_GETPID, 0, 0, 0)
	child, _, _ := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if child != 0 {
		for {
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	for {
		parent, _, _ := syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0)
		if parent != self {
			return
		}
		syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
	}
}

// used returns the CPU time of this process.
//
//go:nosplit
//go:norace
func (b *burner) used() time.Duration {
	syscall.RawSyscall(
		syscall.SYS_CLOCK_GETTIME, unix.CLOCK_PROCESS_CPUTIME_ID, uintptr(unsafe.Pointer(&b.now)), 0,
	)
	return time.Duration(b.now.Sec)*time.Second + time.Duration(b.now.Nsec)
}
