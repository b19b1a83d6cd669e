// Package statefile writes the small files that an agent keeps between two runs, such as its machine id and token.
package statefile

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/moby/sys/atomicwriter"
)

// Write replaces the file at path atomically: after a crash the file holds either the old text or the new one. It
// creates the directory if it is missing. Only the owner can read the file.
//
// atomicwriter syncs the new file before it renames it. It does not sync the directory, so Write does: otherwise a
// power failure could undo the rename.
func Write(path, text string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the directory of a state file: %w", err)
	}
	if err := atomicwriter.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	syncDir(dir)
	return nil
}

// syncDir makes a rename in a directory durable where the system allows it. Windows does not, and needs no call: NTFS
// journals its metadata.
func syncDir(dir string) {
	if file, err := os.Open(dir); err == nil {
		_ = file.Sync()
		_ = file.Close()
	}
}
