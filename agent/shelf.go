package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// shelf is where snapshots go that the server refuses for good: files that somebody may
// look into, or post once the cause is mended. The oldest make room for the newest.
type shelf struct {
	dir             string
	files, maxBytes int
}

const (
	shelfFiles = 16
	shelfBytes = 8 << 20
)

// put writes a run of snapshots with the server's reason, and returns the file. One that
// is larger than the shelf is not kept.
func (s *shelf) put(machineID, reason string, list []queued) (path string, err error) {
	var body bytes.Buffer
	head, err := json.Marshal(struct {
		Refused   string `json:"refused"`
		MachineID string `json:"machine_id"`
	}{reason, machineID})
	if err != nil {
		return "", fmt.Errorf("write the reason: %w", err)
	}
	body.Write(head[:len(head)-1])
	body.WriteString(`,"snapshots":[`)
	for i := range list {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(list[i].json)
	}
	body.WriteString("]}\n")
	if body.Len() > s.maxBytes {
		return "", fmt.Errorf("%d bytes are more than are kept", body.Len())
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return "", err
	}
	path = filepath.Join(s.dir, strings.ReplaceAll(list[0].at.String(), ":", "")+".json")
	if err := os.WriteFile(path, body.Bytes(), 0o600); err != nil {
		return "", err
	}
	return path, s.trim()
}

// trim removes the oldest files, which are the first by name, beyond the bounds.
func (s *shelf) trim() error {
	names, err := filepath.Glob(filepath.Join(s.dir, "*.json"))
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
		if total += info.Size(); i < s.files && total <= int64(s.maxBytes) {
			continue
		}
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}
