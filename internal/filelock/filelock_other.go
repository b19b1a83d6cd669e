//go:build !unix

package filelock

import (
	"fmt"
	"os"
)

// Lock opens the file; without flock it does not keep others out.
func Lock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	return file, nil
}
