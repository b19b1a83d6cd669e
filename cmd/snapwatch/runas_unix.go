//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// runAs runs this command again as another user, with a data directory. The private database of a server accepts
// connections of its own user only, and the files in the directory must stay that user's.
func runAs(ctx context.Context, uid int, dir string) error {
	return runAsTo(ctx, uid, dir, os.Args[1:], os.Stdout)
}

// runAsTo is runAs with other arguments and another standard output.
func runAsTo(ctx context.Context, uid int, dir string, arguments []string, stdout io.Writer) error {
	account, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return fmt.Errorf("look up the user of %s: %w", dir, err)
	}
	gid, err := strconv.Atoi(account.Gid)
	if err != nil {
		return fmt.Errorf("read the group of %s: %w", account.Username, err)
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	//nolint:gosec // the arguments are those of the person who runs this command
	cmd := exec.CommandContext(ctx, program, withFlags(arguments, "--data-dir", dir)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, os.Stderr
	cmd.Env = append(os.Environ(), "HOME="+account.HomeDir)
	cmd.Dir = "/" // the user may have no access to the current directory
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run this command as the user %s of %s: %w", account.Username, dir, err)
	}
	return newRunAsError(cmd.Wait())
}
