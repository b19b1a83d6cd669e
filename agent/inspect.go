package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/snapwatch/snapwatch/agent/internal/statefile"
)

// Inspect describes the content of a state directory in a few lines. An agent may be running with it.
func Inspect(dir string) []string {
	text := func(name string) string {
		content, _ := statefile.Read(filepath.Join(dir, name))
		return strings.TrimSpace(string(content))
	}
	if _, err := os.ReadDir(dir); err != nil {
		return []string{"State directory: " + err.Error()}
	}
	lines := []string{"State directory: " + dir}
	id := text("machine-id")
	if id == "" {
		id = "none yet"
	}
	lines = append(lines, "Machine id: "+id)
	if _, err := os.Stat(filepath.Join(dir, "token")); err != nil {
		lines = append(lines, "Token: none yet; set SNAPWATCH_ENROLMENT_KEY so that the agent can enrol")
	} else {
		lines = append(lines, "Token: stored")
	}
	files, bytes := sizeOf(filepath.Join(dir, "spool", "*.seg"))
	lines = append(lines, fmt.Sprintf("Unsent snapshots on disk: %.1f MiB in %d files", float64(bytes)/(1<<20), files))
	if files, _ := sizeOf(filepath.Join(dir, "refused", "*.json")); files > 0 {
		quarantine := filepath.Join(dir, "refused")
		lines = append(lines, fmt.Sprintf("Quarantined snapshots: %d files in %s", files, quarantine))
	}
	if n := text("dropped"); n != "" && n != "0" {
		lines = append(lines, "Dropped snapshots that are not reported to the server yet: "+n)
	}
	return lines
}

// sizeOf returns the number and the total size of the files that match a pattern.
func sizeOf(pattern string) (files int, bytes int64) {
	names, _ := filepath.Glob(pattern)
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			files, bytes = files+1, bytes+info.Size()
		}
	}
	return files, bytes
}
