//go:build linux

package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/internal/testwait"
)

// startInternal starts a cluster below a directory that any user may enter.
func startInternal(t *testing.T, name string) *Cluster {
	t.Helper()
	return startWith(t, Config{}, name)
}

// startWith is startInternal with a configuration.
func startWith(t *testing.T, cfg Config, name string) *Cluster {
	t.Helper()
	parent, err := os.MkdirTemp("", "snapwatch-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	cfg.Dir, cfg.Logger = filepath.Join(parent, name), testlog.Logger()
	c, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(parent)
	})
	return c
}

// kill ends the postmaster of a cluster, and waits until it has.
func kill(t *testing.T, c *Cluster) {
	t.Helper()
	pid, err := c.PID()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "the postmaster to end", func() bool {
		isRunning, err := isPostmaster(pid, c.data())
		return err == nil && !isRunning
	})
}

// launchAgain starts a cluster that was killed.
func launchAgain(t *testing.T, c *Cluster) {
	t.Helper()
	if err := c.launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A backend that computes does not notice that its postmaster was killed, and keeps the shared memory.
func TestProcessesOfAKilledPostmasterAreEnded(t *testing.T) {
	t.Parallel()
	c := startInternal(t, "data")
	conn, err := pgx.Connect(t.Context(), c.SuperuserURL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), `SELECT count(*) FROM generate_series(1, 20000000000)`)
		ended <- err
	}()
	pid := int(conn.PgConn().PID())
	testwait.Until(t, "the query to run", func() bool {
		command, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		return err == nil && strings.Contains(string(command), "SELECT")
	})
	kill(t, c)
	launchAgain(t, c)
	if err := <-ended; err == nil {
		t.Error("the query of the killed cluster has a result")
	}
}

// After a crash of the machine, the process id of postmaster.pid can belong to another cluster.
func TestProcessIDOfAnotherCluster(t *testing.T) {
	t.Parallel()
	c, other := startInternal(t, "data"), startInternal(t, "data")
	kill(t, c)
	pid, err := other.PID()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(c.data(), "postmaster.pid")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n")
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n%s", pid, rest), 0o600); err != nil {
		t.Fatal(err)
	}
	launchAgain(t, c)
	if err := other.ping(t.Context()); err != nil {
		t.Errorf("the other cluster: %v", err)
	}
}

func TestSocketDirectoryIsCreatedAgain(t *testing.T) {
	t.Parallel()
	c := startInternal(t, "data")
	if err := os.RemoveAll(c.socket); err != nil {
		t.Fatal(err)
	}
	kill(t, c)
	launchAgain(t, c)
}

// Without free file descriptors, the state of the cluster is unknown. Nothing is started or ended then.
func TestNoFileDescriptors(t *testing.T) { // not parallel, because the limit is that of the process
	c := startInternal(t, "data")
	var log strings.Builder
	c.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	pid, err := c.PID()
	if err != nil {
		t.Fatal(err)
	}
	s := newSupervisor(c)
	c.state.setRunning(true, "")
	func() {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: limit.Max}); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
				t.Fatal(err)
			}
		}()
		for range 2 {
			s.check(t.Context())
		}
		if isRunning, err := isPostmaster(pid, c.data()); isRunning || !isShortage(err) {
			t.Errorf("the postmaster runs: %t, %v", isRunning, err)
		}
		if pids, err := c.processes(); !isShortage(err) {
			t.Errorf("the processes are %v, %v", pids, err)
		}
		if err := c.clearRemains(t.Context()); !isShortage(err) {
			t.Errorf("remains were cleared: %v", err)
		}
	}()
	if n := strings.Count(log.String(), "could not find out whether"); n != 1 {
		t.Errorf("it was logged %d times:\n%s", n, log.String())
	}
	if now, err := c.PID(); err != nil || now != pid || c.ping(t.Context()) != nil {
		t.Errorf("process %d, then %d (%v)", pid, now, err)
	}
	if state := c.State(); !state.Running || state.Restarts != 0 {
		t.Errorf("%+v", state)
	}
}

// A start can take longer than an attempt, and a person can start a cluster.
func TestSupervisorNoticesThatTheClusterRuns(t *testing.T) {
	t.Parallel()
	c := startInternal(t, "data")
	s := newSupervisor(c)
	c.state.setRunning(false, "the database system is starting up")
	s.check(t.Context())
	if state := c.State(); !state.Running || state.Reason != "" || state.Restarts != 1 {
		t.Errorf("%+v", state)
	}
}

// After many failed attempts, the cluster runs within ten seconds after the cause was removed. The log has the reason
// once.
func TestAttemptsToStart(t *testing.T) {
	t.Parallel()
	c := startInternal(t, "data")
	var log strings.Builder
	c.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s := newSupervisor(c)
	config := filepath.Join(c.data(), "postgresql.conf")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append(text, "no_such_setting = 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	kill(t, c)
	for range 5 {
		s.next = time.Time{} // the attempt is due
		s.check(t.Context())
		if state := c.State(); state.Running || !strings.Contains(state.Reason, "contains errors") {
			t.Fatalf("%+v", state)
		}
	}
	if wait := time.Until(s.next); wait <= 0 || wait > 5*time.Second {
		t.Errorf("the next attempt is in %s", wait)
	}
	if n := strings.Count(log.String(), "does not start"); n != 1 {
		t.Errorf("the log has the reason %d times:\n%s", n, log.String())
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "the cluster to run", func() bool {
		s.check(t.Context())
		return c.State().Running
	})
}

// A start that is cancelled, at whatever moment, leaves nothing running.
func TestCancelledStart(t *testing.T) {
	t.Parallel()
	for name, moment := range map[string]string{
		"initdb": "postgres.new-*", "before the postmaster": "postgres.log", "postmaster": "postgres/postmaster.pid",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent, err := os.MkdirTemp("", "snapwatch-test-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(parent) })
			if err := os.Chmod(parent, 0o755); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			cfg := Config{
				Dir: filepath.Join(parent, "data"), KeepTrying: true, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := Start(ctx, cfg)
				ended <- err
			}()
			testwait.Until(t, moment, func() bool {
				found, err := filepath.Glob(filepath.Join(cfg.Dir, moment))
				return err == nil && len(found) > 0
			})
			cancel()
			if err := <-ended; err == nil {
				t.Error("the start was not cancelled")
			}
			if strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("the log is\n%s", log.String())
			}
			c := &Cluster{cfg: cfg}
			if pids, err := c.processes(); err != nil || len(pids) > 0 {
				t.Errorf("the processes %v run (%v)", pids, err)
			}
		})
	}
}

func TestLongLogIsCut(t *testing.T) {
	t.Parallel()
	c := startInternal(t, "data")
	log, err := os.OpenFile(c.logPath(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 1023) + "\n"
	if _, err := log.WriteString(strings.Repeat(line, maxLog/len(line)) + "the end\n"); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	c.trimLog()
	if size := c.logSize(); size > keptLog {
		t.Errorf("the log has %d bytes", size)
	}
	kept, err := os.ReadFile(c.logPath() + ".1")
	if err != nil || len(kept) != keptLog || !strings.HasSuffix(string(kept), "the end\n") {
		t.Errorf("%d bytes were kept: %v", len(kept), err)
	}
	// PostgreSQL continues to write to the file.
	kill(t, c)
	launchAgain(t, c)
	if c.logSize() == 0 {
		t.Error("nothing is logged any more")
	}
}

// On a full disk, PostgreSQL keeps segments of its log for later. They are freed.
func TestWALIsFreed(t *testing.T) {
	t.Parallel()
	c := startInternal(t, "data")
	conn, err := pgx.Connect(t.Context(), c.SuperuserURL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for range 3 * minSegments {
		if _, err := conn.Exec(t.Context(), `SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000)), pg_switch_wal()`); err != nil {
			t.Fatal(err)
		}
	}
	if !c.hasUnusedWAL() {
		t.Fatal("there are few segments")
	}
	testwait.Until(t, "the segments to be removed", func() bool {
		c.freeWAL(t.Context(), true)
		return !c.hasUnusedWAL()
	})
}

// Each path can be that of a data directory, or is refused with the reason.
func TestPathsWithSpecialCharacters(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"with space", "o'brien", "a,b", "50%+1", "Ünïcode"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startInternal(t, name)
			if url, err := FindURL(c.cfg.Dir); err != nil || url != c.URL() {
				t.Errorf("%s, %v", url, err)
			}
			kill(t, c)
			launchAgain(t, c)
		})
	}
	for _, name := range []string{`a"b`, "a$b", "a`b", `a\b`, "a\nb"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := Start(ctx, Config{Dir: filepath.Join(t.TempDir(), name), Logger: testlog.Logger()})
		cancel()
		if err == nil || !strings.Contains(err.Error(), "must not contain") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
