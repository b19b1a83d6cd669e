//go:build linux

package embedded

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// copyPrograms copies PostgreSQL into a directory, and returns the directory and the path of the programs in it.
func copyPrograms(t *testing.T) (root, bin string) {
	t.Helper()
	root, err := os.MkdirTemp("", "snapwatch-programs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	found, err := exec.CommandContext(t.Context(), "pg_config", "--bindir", "--pkglibdir", "--sharedir").Output()
	if err != nil {
		t.Fatal(err)
	}
	folders := strings.Fields(string(found))
	for _, folder := range folders {
		to := filepath.Join(root, "15.1", folder)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "cp", "-a", folder, to).CombinedOutput(); err != nil {
			t.Fatalf("copy %s: %v %s", folder, err, out)
		}
	}
	return root, folders[0]
}

// move renames a directory, and makes the link to it point to the new name.
func move(t *testing.T, root, from, to string) {
	t.Helper()
	link := filepath.Join(root, "current")
	if err := os.Rename(filepath.Join(root, from), filepath.Join(root, to)); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(link)
	if err := os.Symlink(to, link); err != nil {
		t.Fatal(err)
	}
}

// checkLater lets the supervisor check the programs when they have been replaced for long enough.
func checkLater(t *testing.T, s *supervisor) {
	t.Helper()
	s.check(t.Context())
	if !s.replacedSince.IsZero() {
		s.replacedSince = time.Now().Add(-replacedFor)
	}
	s.check(t.Context())
}

// runBlock executes PL/pgSQL in a new connection, which loads a library.
func runBlock(t *testing.T, c *Cluster) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.SuperuserURL())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), `DO 'BEGIN END'`)
	return err
}

// Some package managers install each minor version in a directory of its own, to which a link points.
func TestProgramsMoveToAnotherDirectory(t *testing.T) {
	root, bin := copyPrograms(t)
	if err := os.Symlink("15.1", filepath.Join(root, "current")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(root, "current", bin)+":"+os.Getenv("PATH"))
	c := startInternal(t, "data")
	if !strings.HasPrefix(c.bin, root) {
		t.Fatalf("the programs are in %s", c.bin)
	}
	s := newSupervisor(c)
	c.state.setRunning(true, "")
	move(t, root, "15.1", "15.2")
	if err := runBlock(t, c); err == nil {
		t.Error("a connection does not need the libraries")
	}
	checkLater(t, s)
	if err := runBlock(t, c); err != nil {
		t.Errorf("after the programs were moved: %v", err)
	}
	if state := c.State(); !state.Running || state.Restarts != 1 || state.Missing != "" {
		t.Errorf("%+v", state)
	}

	// The same if the postmaster was killed meanwhile.
	move(t, root, "15.2", "15.3")
	kill(t, c)
	s.check(t.Context())
	if err := runBlock(t, c); err != nil {
		t.Errorf("after the postmaster was killed: %v, %+v", err, c.State())
	}
}

// A cluster whose programs were removed keeps running, and the reason of later failures is reported.
func TestProgramsAreRemoved(t *testing.T) {
	t.Parallel()
	root, bin := copyPrograms(t)
	c := startWith(t, Config{BinDir: filepath.Join(root, "15.1", bin)}, "data")
	s := newSupervisor(c)
	c.state.setRunning(true, "")
	pid, err := c.PID()
	if err != nil {
		t.Fatal(err)
	}
	move(t, root, "15.1", "gone")
	checkLater(t, s)
	if state := c.State(); !state.Running || state.Restarts != 0 || !strings.Contains(state.Missing, "were removed") {
		t.Errorf("without programs: %+v", state)
	}
	if now, err := c.PID(); err != nil || now != pid {
		t.Errorf("process %d, then %d (%v)", pid, now, err)
	}
	move(t, root, "gone", "15.1")
	s.check(t.Context())
	if state := c.State(); state.Missing != "" {
		t.Errorf("with programs again: %+v", state)
	}
	// It can also be stopped without programs.
	move(t, root, "15.1", "gone")
}
