package main

import (
	"bytes"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// readBarely is the lower limit for an agent. It reads stat and io of the processes that exist at its start, from
// descriptors that stay open, and parses the numbers in them. It does not notice new or exited processes, reads no
// identities, and stores and sends nothing. It never returns.
func readBarely(interval time.Duration) {
	type files struct{ stat, io int }
	var list []files
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		stat, err := syscall.Open(folder+"/stat", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		io, err := syscall.Open(folder+"/io", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			io = -1
		}
		list = append(list, files{stat, io})
	}
	buffer := make([]byte, 4096)
	sum := int64(0)
	for range time.Tick(interval) {
		for _, f := range list {
			for _, fd := range []int{f.stat, f.io} {
				if fd < 0 {
					continue
				}
				if n, err := syscall.Pread(fd, buffer, 0); err == nil {
					sum += numbers(buffer[:n])
				}
			}
		}
	}
	_ = sum
}

// numbers returns the sum of all numbers in a text, because a reader has to parse them.
func numbers(text []byte) (sum int64) {
	for field := range bytes.FieldsSeq(text) {
		if n, err := strconv.ParseInt(string(field), 10, 64); err == nil {
			sum += n
		}
	}
	return sum
}
