package delivery

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/agent/internal/statefile"
)

// quarantine is a folder for snapshots that the server refuses for good. You can inspect the files, or post them after
// the cause is fixed. The oldest files are deleted when a bound is exceeded.
type quarantine struct {
	dir             string
	files, maxBytes int
}

const (
	quarantineFiles = 16
	quarantineBytes = 8 << 20
)

// put writes a run of snapshots with the server's reason to a file, and returns its path. It fails if the run is larger
// than the quarantine.
func (q *quarantine) put(machineID, reason string, entries []Entry) (path string, err error) {
	head, err := json.Marshal(struct {
		Refused   string `json:"refused"`
		MachineID string `json:"machine_id"`
	}{reason, machineID})
	if err != nil {
		return "", fmt.Errorf("encode the reason: %w", err)
	}
	var body bytes.Buffer
	body.Write(head[:len(head)-1])
	body.WriteString(`,"snapshots":[`)
	for i := range entries {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(entries[i].JSON)
	}
	body.WriteString("]}\n")
	if body.Len() > q.maxBytes {
		return "", fmt.Errorf("a refused run has %d bytes, more than the quarantine's %d", body.Len(), q.maxBytes)
	}
	path = filepath.Join(q.dir, strings.ReplaceAll(entries[0].Timestamp.String(), ":", "")+".json")
	if err := statefile.Write(path, body.String()); err != nil {
		return "", err
	}
	return path, q.trim()
}

// trim deletes the oldest files, which are the first by name, while a bound is exceeded.
func (q *quarantine) trim() error {
	names, err := filepath.Glob(filepath.Join(q.dir, "*.json"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	slices.Reverse(names)
	total := int64(0)
	for i, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			continue
		}
		if total += info.Size(); i < q.files && total <= int64(q.maxBytes) {
			continue
		}
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}
