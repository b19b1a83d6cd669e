// Package statefile reads and writes the small files that an agent keeps between two runs, such as its machine id and
// token. It trusts no file that another user can change.
package statefile

import (
	"fmt"
	"path/filepath"

	"github.com/moby/sys/atomicwriter"

	"github.com/snapwatch/snapwatch/internal/strictpath"
)

// Prepare creates a state directory if it is missing. It returns strictpath.ErrUnsafe if users besides the current one
// and root can change the directory, one of its parents or anything in it, or if a symbolic link is in it.
func Prepare(dir string) error {
	if err := strictpath.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("use the state directory: %w", err)
	}
	if err := strictpath.CheckTree(dir); err != nil {
		return fmt.Errorf("use the state directory: %w", err)
	}
	return nil
}

// Read reads a file. It does not follow a symbolic link. The file must belong to the current user, root or the owner of
// its directory: an administrator may look at the files of an agent that runs as another user.
func Read(path string) ([]byte, error) {
	return strictpath.ReadFile(path, strictpath.Owner(filepath.Dir(path)))
}

// Write replaces the file at path atomically: after a crash the file holds either the old text or the new one. It
// creates the directory if it is missing. Only the owner can read the file.
//
// atomicwriter syncs the new file before it renames it. It does not sync the directory, so Write does: otherwise a
// power failure could undo the rename.
func Write(path, text string) error {
	dir := filepath.Dir(path)
	if err := strictpath.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the directory of a state file: %w", err)
	}
	if err := atomicwriter.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return strictpath.SyncDir(dir)
}
