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
)

// owner is the operating system's user that the cluster runs as: ourselves, or
// postgres where we are root, which PostgreSQL refuses.
type owner struct {
	uid, gid int
	dropped  bool
	callers  []string // users that may connect
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

// identMap lets each caller act as the cluster's two roles.
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

// makeParent makes dir so that the owner can pass through it, and says clearly
// if a folder above it is closed to the owner.
func (o owner) makeParent(dir string) error {
	mode := os.FileMode(0o700)
	if o.dropped {
		mode = 0o755
	}
	if err := os.MkdirAll(dir, mode); err != nil {
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
				"running as root, PostgreSQL runs as the user postgres, which may not enter %s: choose another data directory",
				path,
			)
		}
	}
	return nil
}

func (o owner) makeOwned(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	return os.Chown(dir, o.uid, o.gid)
}

// touch makes the file if it is missing and gives it to the owner.
func (o owner) touch(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Chown(o.uid, o.gid), file.Close())
}

// socketDir is <dir>/run, or a short stand-in where that path is too long.
func socketDir(dir string) string {
	socket := filepath.Join(dir, "run")
	if len(socket) <= maxSocketDir {
		return socket
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join("/tmp", "snapwatch-"+hex.EncodeToString(sum[:8]))
}

func (o owner) makeSocketDir(dir string) (string, error) {
	socket := socketDir(dir)
	if err := os.Mkdir(socket, 0o700); err == nil {
		return socket, os.Chown(socket, o.uid, o.gid)
	} else if !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(socket)
	if err != nil {
		return "", err
	}
	// In a folder that others can write to, one of them may have been here first.
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(stat.Uid) != o.uid ||
		info.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("%s is not a folder of the cluster's owner with mode 0700", socket)
	}
	return socket, nil
}
