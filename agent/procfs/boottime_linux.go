package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/snapwatch/snapwatch/agent/internal/statefile"
)

// bootTime returns when the machine booted, in milliseconds since 1970. The kernel's own value (btime) moves by a
// second when the clock is corrected. Start times, and so the identity of every process, would move with it. Therefore
// the first value of a boot is stored in stateDir and used until the next boot.
func bootTime(root, stateDir string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(root, "stat"))
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(text, []byte("\nbtime "))
	if !ok {
		return 0, errors.New("/proc/stat has no btime")
	}
	digits, _, _ := bytes.Cut(rest, []byte{'\n'})
	seconds, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse btime: %w", err)
	}
	bootMS := seconds * 1000
	bootID, err := os.ReadFile(filepath.Join(root, "sys/kernel/random/boot_id"))
	if err != nil {
		return bootMS, nil //nolint:nilerr // without a boot id, start times may move by a second, nothing worse
	}
	id := strings.TrimSpace(string(bootID))
	path := filepath.Join(stateDir, "boot")
	if stored, ok := storedBootTime(path, id); ok {
		return stored, nil
	}
	if err := statefile.Write(path, id+" "+strconv.FormatInt(bootMS, 10)+"\n"); err != nil {
		return 0, fmt.Errorf("store the boot time: %w", err)
	}
	return bootMS, nil
}

// storedBootTime returns the boot time in a file if the file is of the boot with the given id.
func storedBootTime(path, bootID string) (ms int64, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	id, digits, found := strings.Cut(strings.TrimSpace(string(text)), " ")
	if !found || id != bootID {
		return 0, false
	}
	ms, err = strconv.ParseInt(digits, 10, 64)
	return ms, err == nil
}
