//go:build !unix

package embedded

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
)

// owner is the user that the cluster runs as. It exists only on Unix.
type owner struct{}

func currentOwner() (owner, error) {
	return owner{}, errors.New("the embedded cluster requires a Unix system: set DATABASE_URL")
}

func (owner) identMap() string                      { return "" }
func (owner) apply(*exec.Cmd)                       {}
func (owner) makeParent(string) error               { return errors.ErrUnsupported }
func (owner) makeOwned(string) error                { return errors.ErrUnsupported }
func (owner) touch(string) error                    { return errors.ErrUnsupported }
func (owner) write(string, int, string) error       { return errors.ErrUnsupported }
func (owner) read(string) ([]byte, error)           { return nil, errors.ErrUnsupported }
func (owner) makeSocketDir(string) (string, error)  { return "", errors.ErrUnsupported }
func (owner) user() int                             { return -1 }
func socketDir(dir string) string                   { return filepath.Join(dir, "run") }
func isPostmaster(int, string) (bool, error)        { return false, nil }
func (*Cluster) clearRemains(context.Context) error { return nil }
func (*Cluster) interrupt(context.Context) error    { return errors.ErrUnsupported }
func (owner) checkOwns(string) error                { return errors.ErrUnsupported }
func deviceOf(string) (uint64, error)               { return 0, errors.ErrUnsupported }
