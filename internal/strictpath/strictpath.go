// Package strictpath opens files in directories that hold secrets or state, without trusting what other users can
// change. It applies the rules of StrictModes in OpenSSH: a directory and all its parents must belong to root or to the
// current user, and nobody else may write to them. A parent with the sticky bit, such as /tmp, is an exception, because
// other users cannot replace the directories of others in it.
//
// On Windows, where access lists protect directories, the package only creates and opens files.
package strictpath

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrUnsafe means that other users can change a file or directory, or could have created it.
var ErrUnsafe = errors.New("other users can change it")

// maxFile is the maximum size of a file that ReadFile reads, in bytes.
const maxFile = 1 << 20

// ReadFile reads a regular file of at most 1 MiB. It does not follow a symbolic link, and returns ErrUnsafe if another
// user owns the file or can write to it. users are further users that the file may belong to.
func ReadFile(path string, users ...int) ([]byte, error) {
	file, err := Open(path, os.O_RDONLY, 0, users...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return readAll(file)
}

// readAll reads a file of at most maxFile bytes.
func readAll(file *os.File) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file.Name(), err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("read %s: it has more than %d bytes", file.Name(), maxFile)
	}
	return text, nil
}

// ReadOwnFile reads a regular file of at most 1 MiB that belongs to the current user or to root. It follows symbolic
// links. It returns ErrUnsafe if the file belongs to another user, or if everybody can write to it. For root, nobody
// else may be able to change the file, the link or their directories. Members of a group may for other users, because
// many systems create files with that permission.
func ReadOwnFile(path string) ([]byte, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("open a file: %w", err)
	}
	if os.Geteuid() == 0 {
		if err := errors.Join(Check(filepath.Dir(path)), Check(filepath.Dir(resolved))); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return ReadFile(resolved)
	}
	file, err := os.OpenFile(resolved, os.O_RDONLY|NoFollow, 0)
	if err != nil {
		return nil, fmt.Errorf("open a file: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := checkOwnFile(file); err != nil {
		return nil, err
	}
	return readAll(file)
}

// SyncDir makes the creation, renaming and removal of files in a directory durable.
func SyncDir(dir string) error {
	if !dirsCanSync {
		return nil
	}
	file, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return fmt.Errorf("sync a directory: %w", err)
	}
	if err := errors.Join(syncDirFile(file), file.Close()); err != nil {
		return fmt.Errorf("sync the directory %s: %w", dir, err)
	}
	return nil
}
