package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Inspect says in a few lines what a state directory holds, whether or not an agent runs
// with it.
func Inspect(dir string) []string {
	text := func(name string) string {
		content, _ := os.ReadFile(filepath.Join(dir, name))
		return strings.TrimSpace(string(content))
	}
	if _, err := os.ReadDir(dir); err != nil {
		return []string{"State: " + err.Error()}
	}
	lines := []string{"State: " + dir}
	id := text("machine-id")
	if id == "" {
		id = "none yet"
	}
	lines = append(lines, "Machine id: "+id)
	if _, err := os.Stat(filepath.Join(dir, "token")); err != nil {
		lines = append(lines, "Token: none yet; the agent enrols for one with SNAPWATCH_ENROLMENT_KEY")
	} else {
		lines = append(lines, "Token: kept")
	}
	files, bytes := sizeOf(filepath.Join(dir, "spool", "*.seg"))
	lines = append(lines, fmt.Sprintf("On disk for the server: %.1f MiB in %d files", float64(bytes)/(1<<20), files))
	if files, _ := sizeOf(filepath.Join(dir, "refused", "*.json")); files > 0 {
		lines = append(
			lines,
			fmt.Sprintf("Refused by the server, and set aside: %d files in %s", files, filepath.Join(dir, "refused")),
		)
	}
	if n := text("dropped"); n != "" && n != "0" {
		lines = append(lines, "Dropped, and the server does not know yet: "+n+" snapshots")
	}
	return lines
}

func sizeOf(pattern string) (files int, bytes int64) {
	names, _ := filepath.Glob(pattern)
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			files, bytes = files+1, bytes+info.Size()
		}
	}
	return files, bytes
}
