//go:build linux

package main_test

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"testing"
)

// userOf is another user of this machine.
type userOf struct {
	name     string
	uid, gid int
}

func (u *userOf) lookup(t *testing.T) {
	t.Helper()
	account, err := user.Lookup(u.name)
	if err != nil {
		t.Fatal(err)
	}
	if u.uid, err = strconv.Atoi(account.Uid); err != nil {
		t.Fatal(err)
	}
	if u.gid, err = strconv.Atoi(account.Gid); err != nil {
		t.Fatal(err)
	}
}

// serve runs a server as the user, and returns a function that stops it.
func (u *userOf) serve(t *testing.T, dir, runtime string) (stop func()) {
	t.Helper()
	cmd := exec.CommandContext(
		t.Context(), program("snapwatch"), "serve", "--data-dir", dir, "--runtime-dir", runtime,
		"--listen", "127.0.0.1:0",
	)
	cmd.Env = append(os.Environ(), "DATABASE_URL=")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.uid), Gid: uint32(u.gid)}}
	return startUntilUp(t, cmd)
}

func ownerOf(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner")
	}
	return int(stat.Uid)
}
