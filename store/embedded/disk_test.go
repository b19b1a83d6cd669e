//go:build linux

package embedded

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/testlog"
)

// mountSmall mounts a file system in memory, and returns its directory.
func mountSmall(t *testing.T, options string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "snapwatch-mount-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755,"+options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// restart stops a cluster, and starts it like another process. before is called in between.
func restart(t *testing.T, c *Cluster, before func()) *Cluster {
	t.Helper()
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	before()
	again, err := Start(t.Context(), c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// exists reports whether a file exists.
func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// A file system can have free space and no inodes.
func TestInodesRunOut(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root can mount a small file system
	}
	mount := mountSmall(t, "size=1g,nr_inodes=8000")
	c, err := Start(t.Context(), Config{Dir: filepath.Join(mount, "data"), Logger: testlog.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Stop(context.WithoutCancel(t.Context())) }()
	check := func(want DiskLevel) {
		t.Helper()
		s := newSupervisor(c)
		s.checkDisk(t.Context())
		if disk := c.State().Disk; disk.Level != want ||
			want == DiskFull && !strings.Contains(disk.Describe(), "inodes left in "+c.cfg.Dir) {
			t.Errorf("level %d, want %d: %q", disk.Level, want, disk.Describe())
		}
	}
	reserve := filepath.Join(c.cfg.Dir, "reserve.inodes")
	check(DiskOK)
	if !exists(t, reserve) {
		t.Error("there is no reserve of inodes")
	}
	fill := filepath.Join(mount, "fill")
	if err := os.Mkdir(fill, 0o755); err != nil {
		t.Fatal(err)
	}
	created := 0
	exhaust := func() {
		t.Helper()
		for {
			created++
			file, err := os.Create(filepath.Join(fill, strconv.Itoa(created)))
			if errors.Is(err, syscall.ENOSPC) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_ = file.Close()
		}
	}
	exhaust()
	check(DiskFull)
	c = restart(t, c, exhaust)
	if err := c.ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exists(t, reserve) {
		t.Error("the reserve was not released")
	}
	check(DiskFull)
	if err := os.RemoveAll(fill); err != nil {
		t.Fatal(err)
	}
	check(DiskOK)
	if !exists(t, reserve) {
		t.Error("there is no reserve of inodes again")
	}
}

// The write-ahead log can have a file system of its own.
func TestWALHasItsOwnDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root can mount a small file system
	}
	c := startInternal(t, "data")
	wal, moved := filepath.Join(c.data(), "pg_wal"), filepath.Join(mountSmall(t, "size=256m"), "wal")
	if err := c.shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "mv", wal, moved).CombinedOutput(); err != nil {
		t.Fatalf("move the log: %v %s", err, out)
	}
	if err := os.Symlink(moved, wal); err != nil {
		t.Fatal(err)
	}
	launchAgain(t, c)
	if size := setting(t, c, "max_wal_size"); size != "128MB" {
		t.Errorf("max_wal_size is %s", size)
	}
	s := newSupervisor(c)
	c.state.setRunning(true, "")
	s.checkDisk(t.Context())
	reserve := filepath.Join(moved, "snapwatch-reserve")
	if level := c.State().Disk.Level; level == DiskFull || !exists(t, reserve) {
		t.Fatalf("level %d, and the reserve exists: %t", level, exists(t, reserve))
	}
	filler, err := os.Create(filepath.Join(filepath.Dir(moved), "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = filler.Close() }()
	for err == nil {
		_, err = filler.Write(make([]byte, 64<<10))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	s.checkDisk(t.Context())
	if disk := c.State().Disk; disk.Level != DiskFull || !strings.Contains(disk.Describe(), "left in "+wal) {
		t.Errorf("level %d: %q", disk.Level, disk.Describe())
	}
	if isRunning, err := c.isRunning(); err == nil && isRunning { // it can have ended because of the full disk
		kill(t, c)
	}
	s.check(t.Context())
	if state := c.State(); !state.Running || exists(t, reserve) {
		t.Errorf("the reserve exists: %t, %+v", exists(t, reserve), state)
	}
	if err := os.Truncate(filler.Name(), 0); err != nil {
		t.Fatal(err)
	}
	s.checkDisk(t.Context())
	if level := c.State().Disk.Level; level == DiskFull || !exists(t, reserve) {
		t.Errorf("with space: level %d, and the reserve exists: %t", level, exists(t, reserve))
	}
}

// setting returns a setting of a cluster.
func setting(t *testing.T, c *Cluster, name string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.SuperuserURL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if err := conn.QueryRow(t.Context(), `SELECT current_setting($1)`, name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}
