package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// The reserve of a file system is a file, and a directory with empty files. They take bytes and inodes that only a
// restart on a full disk may use. All access goes through an os.Root, because the user of PostgreSQL can change its
// directories, and a symbolic link there must not lead root elsewhere.

const (
	reserveFile = "reserve"
	// inodesSuffix is the end of the name of the directory.
	inodesSuffix = ".inodes"
	// reservePrefix is before the names in PostgreSQL's own directories.
	reservePrefix = "snapwatch-"
)

// reserveName returns the name of the reserve file in a directory.
func (c *Cluster) reserveName(dir string) string {
	if dir == c.cfg.Dir {
		return reserveFile
	}
	return reservePrefix + reserveFile
}

// openReserve opens the directory of a reserve.
func (c *Cluster) openReserve(dir string) (*os.Root, error) {
	if dir != c.cfg.Dir {
		if err := c.owner.checkOwns(dir); err != nil {
			return nil, err
		}
	}
	return os.OpenRoot(dir)
}

// keepReserves creates the reserve of each file system with enough room for it.
func (c *Cluster) keepReserves(all []Disk) error {
	var failed error
	for _, d := range all {
		if err := c.keepReserve(d); err != nil {
			failed = errors.Join(failed, fmt.Errorf("create the disk reserve in %s: %w", d.reserve, err))
		}
	}
	return failed
}

// keepReserve creates the reserve of a file system if there is room for it.
func (c *Cluster) keepReserve(d Disk) error {
	if d.Level == DiskFull || d.Level == DiskUnknown {
		return nil
	}
	root, err := c.openReserve(d.reserve)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	name := c.reserveName(d.reserve)
	if info, err := root.Lstat(name); err != nil || info.Size() != reserveBytes {
		if d.Free >= d.Required+reserveBytes {
			if err := reserveSpace(root, name); err != nil {
				return err
			}
		}
	}
	if _, err := root.Lstat(name + inodesSuffix); err != nil && d.Inodes.Total > 0 &&
		d.Inodes.Free >= d.Inodes.Required+reserveInodes {
		return reserveFiles(root, name+inodesSuffix)
	}
	return nil
}

// reserveSpace creates the reserve file.
func reserveSpace(root *os.Root, name string) error {
	unfinished := name + newSuffix
	defer func() { _ = root.Remove(unfinished) }()
	if err := root.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := root.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for range reserveBytes / len(zeros) {
		if _, err := file.Write(zeros); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	if err := file.Close(); err != nil {
		return err
	}
	return root.Rename(unfinished, name)
}

// reserveFiles creates the directory with empty files.
func reserveFiles(root *os.Root, name string) error {
	unfinished := name + newSuffix
	defer func() { _ = root.RemoveAll(unfinished) }()
	if err := root.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := root.Mkdir(unfinished, 0o700); err != nil {
		return err
	}
	dir, err := root.OpenRoot(unfinished)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	for i := range reserveInodes {
		file, err := dir.OpenFile(strconv.Itoa(i), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return root.Rename(unfinished, name)
}

// releaseReserves removes the reserves of full file systems, so that a cluster that does not run can start.
func (c *Cluster) releaseReserves(ctx context.Context) {
	for _, v := range volumes(c.cfg.Dir) {
		now, err := measureDisk(ctx, v.path)
		if err != nil || now.Level != DiskFull { // unknown if that fails
			continue
		}
		if c.releaseReserve(v.reserve) {
			c.cfg.Logger.Warn("released the disk reserve, so that the private database can start", "dir", v.reserve,
				"free_bytes", now.Free, "free_inodes", now.Inodes.Free)
		}
	}
}

// releaseReserve removes the reserve in a directory, and reports whether there was one.
func (c *Cluster) releaseReserve(dir string) bool {
	root, err := c.openReserve(dir)
	if err != nil {
		return false
	}
	defer func() { _ = root.Close() }()
	name := c.reserveName(dir)
	released := root.Remove(name) == nil
	if _, err := root.Lstat(name + inodesSuffix); err == nil {
		released = root.RemoveAll(name+inodesSuffix) == nil || released
	}
	return released
}
