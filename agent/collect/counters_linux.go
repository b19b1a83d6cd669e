package collect

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sectorSize is the unit of /proc/diskstats, whatever the sectors of the device are.
const sectorSize = 512

// readCounters returns what each block device has transferred, by its number and by its name.
func readCounters() map[string]transferred {
	text, err := os.ReadFile("/proc/diskstats")
	if err != nil {
		return nil
	}
	return parseDiskStats(text)
}

// parseDiskStats parses /proc/diskstats. See the kernel's Documentation/admin-guide/iostats.rst.
func parseDiskStats(text []byte) map[string]transferred {
	counters := make(map[string]transferred)
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) < 10 {
			continue
		}
		read, err1 := strconv.ParseUint(string(fields[5]), 10, 64)
		written, err2 := strconv.ParseUint(string(fields[9]), 10, 64)
		if err1 != nil || err2 != nil {
			continue
		}
		t := transferred{product(read, sectorSize), product(written, sectorSize)}
		counters[string(fields[0])+":"+string(fields[1])], counters[string(fields[2])] = t, t
	}
	return counters
}

// counterKey returns the key of a file system's device in the counters: its number or, if the file system has a number
// of its own as with btrfs, the name of the device. It is empty for none.
func (f *fileSystem) counterKey() string {
	if !f.number.isAnonymous() {
		return string(f.number)
	}
	name, found := strings.CutPrefix(f.device, "/dev/")
	if !found {
		return ""
	}
	mapped, found := strings.CutPrefix(name, "mapper/")
	if !found {
		return filepath.Base(name)
	}
	names, _ := filepath.Glob("/sys/class/block/dm-*/dm/name")
	for _, path := range names {
		if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == mapped {
			return filepath.Base(filepath.Dir(filepath.Dir(path)))
		}
	}
	return ""
}
