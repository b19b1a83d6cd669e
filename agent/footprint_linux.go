package agent

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// releaseProgram releases the memory of the parts of the program file that are only used at startup. The kernel maps
// the surroundings of each page that is accessed, so that in the end the whole file is resident. A running agent never
// uses a quarter of it again; the rest comes back from the page cache. Only mappings of the program are released that
// are read-only and have no anonymous pages. Measured: 10.0 MB of the program before, 7.4 MB after.
func releaseProgram() error {
	path, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program file: %w", err)
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("read the program's mappings: %w", err)
	}
	for _, m := range cleanMappings(text, path) {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("release memory of the program: %w", errno)
		}
	}
	return nil
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// cleanMappings returns the read-only mappings of a file without anonymous pages, from the text of /proc/[pid]/smaps.
// See proc_pid_smaps(5).
func cleanMappings(text []byte, path string) []mapping {
	var list []mapping
	var current mapping
	candidate := false
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) >= 5 && !bytes.HasSuffix(fields[0], []byte(":")) {
			start, end, _ := bytes.Cut(fields[0], []byte("-"))
			from, err := strconv.ParseUint(string(start), 16, strconv.IntSize)
			to, toErr := strconv.ParseUint(string(end), 16, strconv.IntSize)
			permissions := string(fields[1])
			readOnly := permissions == "r-xp" || permissions == "r--p"
			candidate = err == nil && toErr == nil && readOnly && len(fields) == 6 && string(fields[5]) == path
			current = mapping{uintptr(from), uintptr(to)}
		}
		if candidate && len(fields) == 3 && string(fields[0]) == "Anonymous:" && string(fields[1]) == "0" {
			list = append(list, current)
		}
	}
	return list
}
