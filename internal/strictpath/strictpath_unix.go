//go:build unix

package strictpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// NoFollow are the flags of os.OpenFile that refuse symbolic links, and do not wait for the other end of a pipe. They
// are 0 on systems without them.
const NoFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

const dirsCanSync = true

// maxLinks is the maximum number of symbolic links in a path, as in Linux.
const maxLinks = 40

// syncDirFile syncs an open directory. Some file systems, such as those of FUSE, do not support that.
func syncDirFile(dir *os.File) error {
	if err := dir.Sync(); !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// trusted are the users whose files are trusted.
type trusted []int

// trust returns the trusted users: root, the current user, and further ones. In a user namespace, root of the system
// is not visible as such, so the owner of the root directory is trusted too.
func trust(users []int) trusted { return append(trusted{0, os.Geteuid(), Owner("/")}, users...) }

// Owner returns the user that a file belongs to, or -1.
func Owner(path string) int {
	info, err := os.Lstat(path)
	if err != nil {
		return -1
	}
	return ownerOf(info)
}

func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// Check returns ErrUnsafe unless a directory and its parents belong to root, the current user or one of the given
// users, and nobody else can write to them.
func Check(dir string, users ...int) error { return trust(users).walk(dir, 0, false) }

// MkdirAll creates a directory and its missing parents, and checks all of them as Check does.
func MkdirAll(dir string, mode os.FileMode, users ...int) error {
	return trust(users).walk(dir, mode, true)
}

// walk checks each directory of a path from the root on, so that nobody can replace one that was checked. It resolves
// symbolic links itself. It creates missing directories if create is set.
func (t trusted) walk(dir string, mode os.FileMode, create bool) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("resolve %s: %w", dir, err)
	}
	current, rest, links := "/", strings.Split(abs, "/"), 0
	if err := t.checkDir(current, len(rest) == 0); err != nil {
		return err
	}
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		path := filepath.Join(current, name) // also resolves "..", whose directory was checked before
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) && create {
			if err := makeDir(path, mode); err != nil {
				return err
			}
			info, err = os.Lstat(path)
		}
		if err != nil {
			return fmt.Errorf("check a directory: %w", err)
		}
		if info.Mode().Type() != fs.ModeSymlink {
			current = path
			if err := t.checkDir(path, isLast(rest)); err != nil {
				return err
			}
			continue
		}
		if err := t.checkOwner(path, info); err != nil {
			return err
		}
		if links++; links > maxLinks {
			return fmt.Errorf("%s has too many symbolic links", dir)
		}
		target, err := os.Readlink(path)
		if err != nil {
			return fmt.Errorf("check a directory: %w", err)
		}
		if filepath.IsAbs(target) {
			current = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return nil
}

// isLast reports whether no further directory follows.
func isLast(rest []string) bool {
	return !slices.ContainsFunc(rest, func(name string) bool { return name != "" && name != "." })
}

// makeDir creates a directory durably. Another process may create it at the same time.
func makeDir(path string, mode os.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create a directory: %w", err)
	}
	return SyncDir(filepath.Dir(path))
}

// checkDir checks one directory. Other users may write to a parent with the sticky bit.
func (t trusted) checkDir(path string, last bool) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("check a directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", path)
	}
	if err := t.checkOwner(path, info); err != nil {
		return err
	}
	if info.Mode()&fs.ModeSticky != 0 && !last {
		return nil
	}
	return checkWriters(path, info)
}

func (t trusted) checkOwner(path string, info fs.FileInfo) error {
	owner := ownerOf(info)
	if slices.Contains(t, owner) {
		return nil
	}
	return fmt.Errorf("%s belongs to user %s, not to user %s or root: %w",
		path, userName(owner), userName(os.Geteuid()), ErrUnsafe)
}

// checkWriters returns ErrUnsafe if users besides the owner can write to a file. The groups of root, and of the current
// user if that is not root, are trusted: on many systems each user has a group of their own.
func checkWriters(path string, info fs.FileInfo) error {
	const group, others = 0o020, 0o002
	writers := info.Mode().Perm() & (group | others)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && (stat.Gid == 0 || int(stat.Gid) == os.Getegid()) {
		writers &^= group
	}
	if writers == 0 {
		return nil
	}
	return fmt.Errorf("%s has the mode %s, so that others can write to it; run chmod go-w on it: %w", path, info.Mode(),
		ErrUnsafe)
}

// userName returns the name of a user, or the number of one without a name.
func userName(uid int) string {
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return found.Username
	}
	return strconv.Itoa(uid)
}

// CheckTree returns ErrUnsafe unless everything in a directory is a directory or a regular file that belongs to root,
// the current user or one of the given users, and that nobody else can write to. Check the directory first.
func CheckTree(dir string, users ...int) error {
	t := trust(users)
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was deleted in the meantime
		}
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return t.checkFile(path, info)
	})
}

// checkFile checks a directory or a regular file.
func (t trusted) checkFile(path string, info fs.FileInfo) error {
	switch {
	case info.Mode().Type() == fs.ModeSymlink:
		return fmt.Errorf("%s is a symbolic link, which is not followed; remove it: %w", path, ErrUnsafe)
	case !info.IsDir() && !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file; remove it: %w", path, ErrUnsafe)
	}
	if err := t.checkOwner(path, info); err != nil {
		return err
	}
	return checkWriters(path, info)
}

// Open opens or creates a regular file. It does not follow a symbolic link in its last part, and returns ErrUnsafe if
// another user owns the file or can write to it. users are further users that the file may belong to. Check the
// directory first.
func Open(path string, flag int, mode os.FileMode, users ...int) (*os.File, error) {
	file, err := os.OpenFile(path, flag|NoFollow, mode)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.EMLINK) {
		return nil, fmt.Errorf("%s is a symbolic link, which is not followed; remove it: %w", path, ErrUnsafe)
	}
	if err != nil {
		return nil, fmt.Errorf("open a file: %w", err)
	}
	info, err := file.Stat()
	if err == nil {
		err = trust(users).checkFile(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// checkOwnFile returns ErrUnsafe unless a regular file belongs to the current user or to root, and not everybody can
// write to it.
func checkOwnFile(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	const othersWrite = 0o002
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", file.Name())
	case info.Mode().Perm()&othersWrite != 0:
		return fmt.Errorf("%s has mode %04o: %w", file.Name(), info.Mode().Perm(), ErrUnsafe)
	}
	return trust(nil).checkOwner(file.Name(), info)
}

// KeyReaders says who can read or change a private key besides its owner, such as "other users", or returns "" for
// nobody. It also returns the mode of the file in octal. A group may read a key that belongs to root, as on systems
// where the group ssl-cert or that of a service gets access to a key. PostgreSQL has the same rule.
func KeyReaders(path string) (who, mode string) {
	info, err := os.Stat(path)
	if err != nil {
		return "", ""
	}
	mode = fmt.Sprintf("%04o", info.Mode().Perm())
	const groupRead, groupWrite, others = 0o040, 0o020, 0o006
	switch bits := info.Mode().Perm(); {
	case bits&others != 0:
		return "other users", mode
	case bits&groupWrite != 0, bits&groupRead != 0 && ownerOf(info) != 0:
		return "its group", mode
	}
	return "", mode
}
