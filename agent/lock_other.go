//go:build !unix

package agent

import (
	"os"
	"path/filepath"
)

// lockState opens the lock file; without flock it does not keep others out.
func lockState(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
}
