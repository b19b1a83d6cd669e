//go:build !unix

package strictpath

import (
	"fmt"
	"os"
)

// NoFollow are the flags of os.OpenFile that refuse symbolic links. They are 0 on systems without them.
const NoFollow = 0

// dirsCanSync is false, because NTFS journals its metadata.
const dirsCanSync = false

func syncDirFile(*os.File) error { return nil }

// Check returns nil.
func Check(string, ...int) error { return nil }

// CheckTree returns nil.
func CheckTree(string, ...int) error { return nil }

// Owner returns -1: there are no numeric users.
func Owner(string) int { return -1 }

// MkdirAll creates a directory and its parents.
func MkdirAll(dir string, mode os.FileMode, _ ...int) error { return os.MkdirAll(dir, mode) }

// Open opens a file.
func Open(path string, flag int, mode os.FileMode, _ ...int) (*os.File, error) {
	file, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, fmt.Errorf("open a file: %w", err)
	}
	return file, nil
}

func checkOwnFile(*os.File) error { return nil }

// KeyReaders returns nothing.
func KeyReaders(string) (who, mode string) { return "", "" }
