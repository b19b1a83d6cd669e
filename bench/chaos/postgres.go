//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/store/embedded"
)

// postgres is a private PostgreSQL cluster, which a server runs.
type postgres struct{ dir string }

// data returns the data directory of PostgreSQL itself.
func (p postgres) data() string { return filepath.Join(p.dir, "postgres") }

// connect opens a connection as the superuser to the database of the server.
func (p postgres) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, embedded.URL(filepath.Join(p.dir, "run"), "postgres", "snapwatch"))
}

// exec runs statements as the superuser, each in a transaction of its own.
func (p postgres) exec(ctx context.Context, statements ...string) error {
	conn, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// postmaster returns the process id of the postmaster, 0 if none runs.
func (p postgres) postmaster() int {
	text, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || !isPostgres(pid) {
		return 0
	}
	return pid
}

func isPostgres(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), "(postgres)")
}

// kill ends the postmaster as kill -9 does.
func (p postgres) kill() {
	if pid := p.postmaster(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// signalAll sends a signal to the postmaster and to all its processes.
func (p postgres) signalAll(signal syscall.Signal) {
	postmaster := p.postmaster()
	if postmaster == 0 {
		return
	}
	_ = syscall.Kill(postmaster, signal)
	list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", postmaster, postmaster))
	for _, field := range strings.Fields(string(list)) {
		if child, err := strconv.Atoi(field); err == nil {
			_ = syscall.Kill(child, signal)
		}
	}
}

// restart restarts the cluster as an administrator does, beside the server that runs it.
func (p postgres) restart(ctx context.Context) error {
	postmaster := p.postmaster()
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", postmaster))
	if err != nil {
		return fmt.Errorf("find PostgreSQL's programs: %w", err)
	}
	info, err := os.Stat(p.data())
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(program), "pg_ctl"), "restart", "-D", p.data(),
		"-m", "fast", "-w", "-l", filepath.Join(p.dir, "postgres.log"))
	cmd.Dir = "/"
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	// The server's supervisor may be faster.
	if out, err := cmd.CombinedOutput(); err != nil && p.postmaster() == 0 {
		return fmt.Errorf("restart PostgreSQL: %w: %s", err, out)
	}
	return nil
}

// terminate ends all sessions of the server.
const terminate = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'snapwatch'`

// takeAllConnections ends the sessions of the server and takes their places, until no connection is left.
func (p postgres) takeAllConnections(ctx context.Context) (taken []*pgx.Conn, err error) {
	for range 5 {
		if len(taken) > 0 {
			if _, err := taken[0].Exec(ctx, terminate); err != nil {
				return taken, err
			}
		}
		for {
			conn, err := p.connect(ctx)
			if err != nil {
				if len(taken) == 0 {
					return nil, err
				}
				break
			}
			taken = append(taken, conn)
		}
	}
	return taken, nil
}
