//go:build linux

package main_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/store/storetest"
)

// located runs a command without --data-dir. home is the home directory, and runtime that of the records of servers.
func located(t *testing.T, home, runtime, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program("snapwatch"), args...)
	cmd.Env = append(os.Environ(), "DATABASE_URL=", "SNAPWATCH_DATA_DIR=", "SNAPWATCH_RUNTIME_DIR="+runtime,
		"HOME="+home, "XDG_DATA_HOME="+home)
	cmd.Stdin, cmd.Dir = strings.NewReader(stdin), home
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, log.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// databaseCommands are the commands that need a database, besides up and serve.
var databaseCommands = [][]string{
	{"user", "list"}, {"user", "add", "new"}, {"user", "delete", "x"}, {"token", "list"}, {"token", "add", "x"},
	{"key", "list"}, {"key", "add", "x"}, {"migrate", "up"}, {"migrate", "status"}, {"migrate", "to", "1"},
	{"migrate", "down", "--yes"}, {"database-url"},
}

// Commands without --data-dir find the database of the running server, whoever's default directory they would use.
func TestCommandsFindTheRunningServer(t *testing.T) {
	t.Parallel()
	runtime, home := t.TempDir(), t.TempDir()
	env := []string{"SNAPWATCH_RUNTIME_DIR=" + runtime}
	first := startWithEnv(t, env, "serve", dataDir(t), "127.0.0.1:0")
	must := func(stdin string, args ...string) string {
		t.Helper()
		out, err := located(t, home, runtime, stdin, args...)
		if err != nil {
			t.Fatal(args, err)
		}
		return out
	}
	must("four unrelated plain words", "user", "add", "owner", "--role", "admin")
	var users int
	if queryRow(t, first.dir, `SELECT count(*) FROM users`, &users); users != 1 {
		t.Errorf("the server has %d users, want the new one", users)
	}
	if url := must("", "database-url"); !strings.Contains(url, "snapwatch") {
		t.Errorf("the URL is %q", url)
	}
	must("", "migrate", "up")
	must("", "migrate", "status")
	if _, err := located(t, home, runtime, "", "migrate", "to", "7"); err == nil ||
		!strings.Contains(err.Error(), "--yes") || !strings.Contains(err.Error(), "all users") {
		t.Errorf("a migration down without --yes: %v", err)
	}
	if queryRow(t, first.dir, `SELECT count(*) FROM users`, &users); users != 1 {
		t.Errorf("after a migration that was refused, the server has %d users", users)
	}
	if entries, err := os.ReadDir(home); err != nil || len(entries) != 0 {
		t.Errorf("a command left %v in the home directory (%v)", entries, err)
	}

	// With several servers, the user has to choose.
	second := startWithEnv(t, env, "serve", dataDir(t), "127.0.0.1:0")
	_, err := located(t, home, runtime, "", "user", "list")
	if err == nil || !strings.Contains(err.Error(), first.dir) || !strings.Contains(err.Error(), second.dir) ||
		!strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("with two servers: %v", err)
	}
	if list := must("", "user", "list", "--data-dir", first.dir); !strings.Contains(list, "owner") {
		t.Errorf("with --data-dir: %s", list)
	}

	// A killed server leaves its record behind, which is ignored.
	second.kill(t)
	if list := must("", "user", "list"); !strings.Contains(list, "owner") {
		t.Errorf("after one of two servers was killed: %s", list)
	}
	startWithEnv(t, env, "serve", second.dir, "127.0.0.1:0").stop(t) // stops the cluster too
	first.stop(t)
	if left, err := os.ReadDir(runtime); err != nil || len(left) != 0 {
		t.Errorf("the servers left %v (%v)", left, err)
	}
}

// Without a running server and without a cluster, no command creates one. The error names the directory and the ways
// to name another.
func TestCommandsCreateNoCluster(t *testing.T) {
	t.Parallel()
	named := filepath.Join(storetest.Dir(t), "none")
	for _, args := range databaseCommands {
		out, err := located(t, t.TempDir(), t.TempDir(), "", append(args, "--data-dir", named)...)
		if err == nil || !strings.Contains(err.Error(), named) || !strings.Contains(err.Error(), "--data-dir") ||
			!strings.Contains(err.Error(), "DATABASE_URL") || !strings.Contains(err.Error(), "no private database") {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
	if _, err := os.Stat(named); err == nil {
		t.Error("a command created the data directory")
	}
}

// A server with a database of its own is found too, but its password is not recorded.
func TestCommandsNameTheDatabaseOfTheServer(t *testing.T) {
	t.Parallel()
	runtime := t.TempDir()
	p := startServerWithDatabase(t, runtime, storetest.URL(t))
	_, err := located(t, t.TempDir(), runtime, "", "user", "list")
	if err == nil || !strings.Contains(err.Error(), "DATABASE_URL") || !strings.Contains(err.Error(), "snapwatch.env") {
		t.Errorf("%v", err)
	}
	p()
}

// startServerWithDatabase runs a server with an external database, and returns a function that stops it.
func startServerWithDatabase(t *testing.T, runtime, url string) (stop func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program("snapwatch"), "serve", "--listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "DATABASE_URL="+url, "SNAPWATCH_RUNTIME_DIR="+runtime)
	cmd.Dir = t.TempDir()
	return startUntilUp(t, cmd)
}

// checkRelativePath runs a command for a data directory of another user with a path that is relative to the current
// directory, which that user may enter.
func checkRelativePath(t *testing.T, runtime, dataDir string) {
	t.Helper()
	current := storetest.Dir(t)
	if err := os.WriteFile(filepath.Join(current, "ca.pem"), []byte("no certificate"), 0o644); err != nil {
		t.Fatal(err)
	}
	arguments := []string{"doctor", "--data-dir", dataDir, "--agent-ca", "ca.pem"}
	cmd := exec.CommandContext(t.Context(), program("snapwatch"), arguments...)
	cmd.Env = append(os.Environ(), "DATABASE_URL=", "SNAPWATCH_RUNTIME_DIR="+runtime)
	cmd.Dir = current
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "ca.pem") || strings.Contains(string(out), "no such file") {
		t.Errorf("%s, %v", out, err)
	}
}

// Root runs commands as the user of the data directory, because the database accepts connections of its user only.
func TestRootUsesTheDatabaseOfAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root can run a server as another user; other users get an error that names the user")
		return
	}
	runtime, dir := storetest.Dir(t), storetest.Dir(t)
	other := &userOf{name: "postgres"} // exists where the private cluster can run as root
	other.lookup(t)
	for _, path := range []string{runtime, dir} {
		if err := os.Chown(path, other.uid, other.gid); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := clusterTemplate(); err != nil { // makes the programs accessible to other users
		t.Fatal(err)
	}
	stop := other.serve(t, dir, runtime)
	for range 2 { // with the server, and without it
		if out, err := located(t, t.TempDir(), runtime, "", "token", "add", "--data-dir", dir, "--", "-x"); err != nil {
			t.Errorf("%s, %v", out, err)
		}
		home := t.TempDir()
		if _, err := located(t, home, runtime, "", "support-bundle", "--profile-seconds", "0", "--data-dir", dir, "--",
			"bundle"); err != nil {
			t.Error(err)
		}
		head := make([]byte, 2)
		if file, err := os.Open(filepath.Join(home, "bundle")); err != nil {
			t.Error(err)
		} else if _, err := io.ReadFull(file, head); err != nil || string(head) != "\x1f\x8b" { // of gzip
			t.Errorf("the bundle begins with %q (%v)", head, err)
		}
		checkRelativePath(t, runtime, dir)
		if stop != nil {
			out, err := located(t, t.TempDir(), runtime, "", "token", "list")
			if err != nil || !strings.Contains(out, "x") {
				t.Errorf("without --data-dir: %s, %v", out, err)
			}
			stop()
			stop = nil
		}
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && other.uid != ownerOf(t, path) {
			t.Errorf("%s belongs to another user than the server", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
