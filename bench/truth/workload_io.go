//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// processIO is what a process has read from and written to disks itself, without its children.
type processIO struct {
	PID         int
	Read, Write int64
}

// block is the size of a read or write, in bytes.
const block = 1 << 20

// writeInTree runs the workload write in a shell, as scripts run dd. The shell waits for it, and in the second step
// this process waits for the shell. Its arguments are a file, its size, and the bytes that this process writes itself.
func writeInTree(w *console, arguments []string) error {
	own, err := strconv.ParseInt(arguments[2], 10, 64)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	w.next()
	if _, err := transfer(arguments[0]+"-own", own); err != nil {
		return err
	}
	script := `"$0" "$@" || exit; read line || :` // the shell stays until its input ends
	shell := exec.Command("sh", "-c", script, self, workloadArgument, "write", arguments[0], arguments[1])
	shell.Stderr = os.Stderr
	input, err := shell.StdinPipe()
	if err != nil {
		return err
	}
	output, err := shell.StdoutPipe()
	if err != nil {
		return err
	}
	if err := shell.Start(); err != nil {
		return err
	}
	if _, err := io.WriteString(input, "write\n"); err != nil {
		return err
	}
	var r report
	if err := json.NewDecoder(bufio.NewReader(output)).Decode(&r); err != nil {
		return fmt.Errorf("the shell's child: %w", err)
	}
	for _, pid := range []int{os.Getpid(), shell.Process.Pid} {
		one, err := ioOfThreads(pid)
		if err != nil {
			return err
		}
		r.IO = append(r.IO, one)
	}
	if err := w.report(r); err != nil {
		return err
	}
	w.next()
	if err := errors.Join(input.Close(), shell.Wait()); err != nil {
		return err
	}
	if err := w.report(report{}); err != nil {
		return err
	}
	w.next()
	return nil
}

// write writes a file and reads it again, without the page cache. Its arguments are the file and its size.
func write(w *console, arguments []string) error {
	size, err := strconv.ParseInt(arguments[1], 10, 64)
	if err != nil {
		return err
	}
	w.next()
	moved, err := transfer(arguments[0], size)
	if err != nil {
		return err
	}
	kernel, err := ioOfThreads(os.Getpid())
	if err != nil {
		return err
	}
	// The kernel also counts changes of the file system's own data.
	if extra := kernel.Write - moved.Write; extra < 0 || extra > block {
		return fmt.Errorf("wrote %d bytes, and the kernel counted %d", moved.Write, kernel.Write)
	}
	return w.report(report{IO: []processIO{kernel}})
}

// transfer writes a file and reads it again, and returns how much.
func transfer(path string, size int64) (moved processIO, err error) {
	if size == 0 {
		return moved, nil
	}
	buffer, err := unix.Mmap(-1, 0, block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return moved, err
	}
	file, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE|os.O_TRUNC|syscall.O_DIRECT, 0o600)
	if err != nil {
		return moved, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(path)) }()
	for moved.Write < size {
		n, err := file.Write(buffer)
		if moved.Write += int64(n); err != nil {
			return moved, err
		}
	}
	for moved.Read < size {
		n, err := file.ReadAt(buffer, moved.Read)
		if moved.Read += int64(n); err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// ioOfThreads returns what the running threads of a process have read and written. Other than /proc/PID/io, this leaves
// out children.
func ioOfThreads(pid int) (processIO, error) {
	sum := processIO{PID: pid}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/io", pid))
	if err != nil {
		return sum, err
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return sum, err
		}
		for line := range bytes.Lines(text) {
			name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(": "))
			n, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil {
				return sum, err
			}
			switch string(name) {
			case "read_bytes":
				sum.Read += n
			case "write_bytes":
				sum.Write += n
			}
		}
	}
	return sum, nil
}

// setTitle changes what others see of this process, as servers do. Its arguments are a user id, or "-", the new command
// line, and the new name, or "-". Further arguments make room for the command line.
func setTitle(w *console, arguments []string) error {
	user, title, name := arguments[0], strings.Clone(arguments[1]), arguments[2] // the arguments are overwritten
	w.next()
	if user != "-" {
		id, err := strconv.Atoi(user)
		if err != nil {
			return err
		}
		if err := syscall.Setuid(id); err != nil {
			return err
		}
	}
	if name != "-" {
		text, err := unix.BytePtrFromString(name)
		if err != nil {
			return err
		}
		if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(text)), 0, 0, 0); err != nil {
			return err
		}
	}
	// The arguments, and then the environment, are one piece of memory.
	room := 0
	for _, text := range append(os.Args, os.Environ()...) {
		room += len(text) + 1
	}
	if len(title) >= room {
		return fmt.Errorf("the new command line has %d bytes, and there is room for %d", len(title), room)
	}
	memory := unsafe.Slice(unsafe.StringData(os.Args[0]), room)
	clear(memory)
	copy(memory, title)
	if err := w.report(report{}); err != nil {
		return err
	}
	w.next()
	return nil
}

// execSelf calls exec with this program in each step, so that its name stays and its arguments change. Its arguments
// are the number of the first step and that of the last.
func execSelf(w *console, arguments []string) error {
	step, err := strconv.Atoi(arguments[0])
	if err != nil {
		return err
	}
	if err := w.report(report{}); err != nil {
		return err
	}
	if !w.next() || arguments[0] == arguments[1] {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	next := []string{os.Args[0], workloadArgument, "exec", strconv.Itoa(step + 1), arguments[1]}
	return syscall.Exec(self, next, os.Environ())
}

// fillTmpfs mounts a tmpfs in its own mount namespace, and writes a file to it. Its arguments are the mount point and
// the file's size.
func fillTmpfs(w *console, arguments []string) error {
	size, err := strconv.ParseInt(arguments[1], 10, 64)
	if err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", arguments[0], "tmpfs", 0, "size=100%"); err != nil {
		return err
	}
	w.next()
	file, err := os.Create(filepath.Join(arguments[0], "file"))
	if err != nil {
		return err
	}
	for data := make([]byte, block); size > 0; size -= block {
		if _, err := file.Write(data); err != nil {
			return err
		}
	}
	if err := w.report(report{}); err != nil {
		return err
	}
	w.next()
	return nil
}
