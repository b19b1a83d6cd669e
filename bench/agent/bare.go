package main

import (
	"bytes"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// readBarely is the limit: a program that reads, of the processes there are when it
// begins, stat and io from kept descriptors, and takes the numbers out of them. It sees no
// births and no deaths, knows no identities, and keeps and sends nothing. It never ends.
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

// numbers adds up the fields of a text that are numbers, as a reader has to parse them.
func numbers(text []byte) (sum int64) {
	for field := range bytes.FieldsSeq(text) {
		if n, err := strconv.ParseInt(string(field), 10, 64); err == nil {
			sum += n
		}
	}
	return sum
}
