//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	start := func(workingDir string) (*exec.Cmd, error) {
		//nolint:gosec // the arguments are those of the person who runs this command
		cmd := exec.CommandContext(ctx, program, withFlags(arguments, "--data-dir", dir)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, os.Stderr
		cmd.Env = append(os.Environ(), "HOME="+account.HomeDir)
		cmd.Dir = workingDir
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return cmd, cmd.Start()
	}
	current, err := os.Getwd()
	if err != nil {
		return err
	}
	cmd, err := start(current)
	if errors.Is(err, fs.ErrPermission) {
		fmt.Fprintf(os.Stderr, "The user %s has no access to %s, so relative paths do not work.\n", account.Username,
			current)
		cmd, err = start("/")
	}
	if err != nil {
		return fmt.Errorf("run this command as the user %s of %s: %w", account.Username, dir, err)
	}
	return newRunAsError(cmd.Wait())
}
