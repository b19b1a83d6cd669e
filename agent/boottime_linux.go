package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// bootTime returns when the machine booted, in milliseconds since 1970. The
// kernel's own figure (btime) moves by a second whenever the clock is corrected,
// and every start time, and so every process's identity, would move with it: so
// the first figure of a boot is kept in the state directory.
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
		return 0, fmt.Errorf("read btime: %w", err)
	}
	bootMS := seconds * 1000
	bootID, err := os.ReadFile(filepath.Join(root, "sys/kernel/random/boot_id"))
	if err != nil {
		return bootMS, nil //nolint:nilerr // an odd /proc: start times may move by a second, nothing worse
	}
	id := strings.TrimSpace(string(bootID))
	path := filepath.Join(stateDir, "boot")
	if kept, err := os.ReadFile(path); err == nil {
		if keptID, keptMS, ok := strings.Cut(strings.TrimSpace(string(kept)), " "); ok && keptID == id {
			if ms, err := strconv.ParseInt(keptMS, 10, 64); err == nil {
				return ms, nil
			}
		}
	}
	if err := writeState(path, id+" "+strconv.FormatInt(bootMS, 10)+"\n"); err != nil {
		return 0, fmt.Errorf("keep the boot time: %w", err)
	}
	return bootMS, nil
}
