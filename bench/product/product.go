// Package product runs the programs of snapwatch for benchmarks, and calls its API.
package product

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Server is a running server with a private PostgreSQL cluster.
type Server struct {
	URL          string
	PID          int
	program, dir string
	databaseURL  string // of a database that other servers may share; empty for a private one
	cmd          *exec.Cmd
}

// StartServer starts the server on a free port of the loopback interface, with dir as its data directory. Its log goes
// to log.
func StartServer(ctx context.Context, program, dir string, log io.Writer, arguments ...string) (*Server, error) {
	return StartReplica(ctx, program, dir, "", log, arguments...)
}

// Command returns a command that runs a server as StartReplica does.
func Command(program, dir, databaseURL string, log io.Writer, arguments ...string) (*exec.Cmd, error) {
	path, err := filepath.Abs(program)
	if err != nil {
		return nil, fmt.Errorf("find the server: %w", err)
	}
	// The cluster has an owner of its own if root starts the server.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, fmt.Errorf("prepare the data directory: %w", err)
	}
	cmd := exec.Command(path, append([]string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0"}, arguments...)...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+databaseURL)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches only the benchmark
	return cmd, nil
}

// StartReplica is StartServer with a database that is not private: other servers can use it too.
func StartReplica(
	ctx context.Context, program, dir, databaseURL string, log io.Writer, arguments ...string,
) (*Server, error) {
	cmd, err := Command(program, dir, databaseURL, log, arguments...)
	if err != nil {
		return nil, err
	}
	s := &Server{program: cmd.Path, dir: dir, databaseURL: databaseURL, cmd: cmd}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	s.PID = s.cmd.Process.Pid
	defer context.AfterFunc(ctx, func() { _ = s.cmd.Process.Kill() })()
	line, err := bufio.NewReader(out).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), "is up: ")
	if err != nil || !ok || ctx.Err() != nil {
		_ = s.Stop()
		return nil, fmt.Errorf("the server did not start: %q", line)
	}
	s.URL = url
	return s, nil
}

// Stop stops the server in order.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	return s.cmd.Wait()
}

// Kill ends the server as kill -9 does. Wait returns when it has ended.
func (s *Server) Kill() error { return s.cmd.Process.Kill() }

// Wait waits for the end of a server that is not stopped with Stop.
func (s *Server) Wait() error { return s.cmd.Wait() }

// AdminToken returns a new token of an administrator.
func (s *Server) AdminToken(ctx context.Context) (string, error) {
	return s.Run(ctx, "token", "add", "bench", "--role", "admin")
}

// ReaderToken returns a token of a user who may read all machines.
func (s *Server) ReaderToken(ctx context.Context, name string) (string, error) {
	return s.Run(ctx, "token", "add", name, "--role", "user", "--tags", "*")
}

// EnrolmentKey returns a new enrolment key for any number of agents.
func (s *Server) EnrolmentKey(ctx context.Context) (string, error) {
	return s.Run(ctx, "key", "add", "bench", "--uses", "0")
}

// Run runs a command of the server's program for its database, and returns what it prints.
func (s *Server) Run(ctx context.Context, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.program, append(arguments, "--data-dir", s.dir)...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+s.databaseURL)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(arguments, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
