//go:build unix

package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/snapwatch/snapwatch/internal/strictpath"
)

// owner is the user that the cluster runs as: the current user, or postgres if that is root, because
// PostgreSQL does not run as root.
type owner struct {
	uid, gid int
	dropped  bool
	callers  []string // users who may connect
}

func currentOwner() (owner, error) {
	me, err := user.Current()
	if err != nil {
		return owner{}, fmt.Errorf("look up the current user: %w", err)
	}
	if os.Geteuid() != 0 {
		return owner{uid: os.Geteuid(), gid: os.Getegid(), callers: []string{me.Username}}, nil
	}
	postgres, err := user.Lookup("postgres")
	if err != nil {
		return owner{}, fmt.Errorf(
			"PostgreSQL refuses to run as root, and there is no user postgres to run it as: %w", err,
		)
	}
	uid, err := strconv.Atoi(postgres.Uid)
	if err != nil {
		return owner{}, fmt.Errorf("read the uid of postgres: %w", err)
	}
	gid, err := strconv.Atoi(postgres.Gid)
	if err != nil {
		return owner{}, fmt.Errorf("read the gid of postgres: %w", err)
	}
	return owner{uid: uid, gid: gid, dropped: true, callers: []string{me.Username, "postgres"}}, nil
}

// identMap maps each caller to the two roles of the cluster.
func (o owner) identMap() string {
	var text strings.Builder
	for _, caller := range o.callers {
		fmt.Fprintf(&text, "snapwatch %q %s\nsnapwatch %q %s\n", caller, superuser, caller, appRole)
	}
	return text.String()
}

func (o owner) apply(cmd *exec.Cmd) {
	if o.dropped {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}}
	}
}

// makeParent creates dir so that the owner can access it. It returns an error if a parent directory is not
// accessible to the owner, or if other users can change the directory or a parent.
func (o owner) makeParent(dir string) error {
	mode := os.FileMode(0o700)
	if o.dropped {
		mode = 0o755
	}
	if err := strictpath.MkdirAll(dir, mode, o.uid); err != nil {
		return err
	}
	if !o.dropped {
		return nil
	}
	for path := dir; path != "/"; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if ok && info.Mode().Perm()&0o001 == 0 && int(stat.Uid) != o.uid && int(stat.Gid) != o.gid {
			return fmt.Errorf(
				"PostgreSQL runs as the user postgres if snapwatch runs as root, but postgres cannot access %s: "+
					"choose another data directory",
				path,
			)
		}
	}
	return nil
}

func (o owner) makeOwned(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return os.Lchown(dir, o.uid, o.gid)
}

// touch creates the file if it is missing and changes its owner.
func (o owner) touch(path string) error { return o.write(path, os.O_APPEND, "") }

// write opens a file with further flags, writes text durably and changes the owner of the file. It creates the file if
// it is missing, and does not follow a symbolic link.
func (o owner) write(path string, flag int, text string) error {
	file, err := strictpath.Open(path, flag|os.O_CREATE|os.O_WRONLY, 0o600, o.uid)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Chown(o.uid, o.gid), file.Sync(), file.Close())
}

// checkOwns returns an error if a directory does not belong to the owner.
func (o owner) checkOwns(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != o.uid {
		return fmt.Errorf("%s does not belong to the owner of the cluster", dir)
	}
	return nil
}

// deviceOf returns the number of the file system of a path.
func deviceOf(path string) (uint64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return uint64(stat.Dev), nil //nolint:unconvert // its type differs between systems
}

// user returns the user id.
func (o owner) user() int { return o.uid }

// read reads a file of the owner. It does not follow a symbolic link.
func (o owner) read(path string) ([]byte, error) { return strictpath.ReadFile(path, o.uid) }

// socketDir returns <dir>/run, or a directory with a short name if that path is too long or has special characters.
func socketDir(dir string) string {
	socket := filepath.Join(dir, "run")
	// Settings of PostgreSQL and connection strings separate several directories with commas.
	if len(socket) <= maxSocketDir && !strings.ContainsAny(socket, ` ,'`) {
		return socket
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join("/tmp", "snapwatch-"+hex.EncodeToString(sum[:8]))
}

func (o owner) makeSocketDir(dir string) (string, error) {
	socket := socketDir(dir)
	if err := os.Mkdir(socket, 0o700); err == nil {
		return socket, os.Lchown(socket, o.uid, o.gid)
	} else if !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(socket)
	if err != nil {
		return "", err
	}
	// Other users can write to the parent directory, so check that the directory is ours.
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(stat.Uid) != o.uid ||
		info.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("%s is not a directory with mode 0700 that belongs to the owner of the cluster", socket)
	}
	return socket, nil
}
