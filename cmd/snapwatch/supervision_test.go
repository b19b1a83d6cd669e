//go:build linux

package main_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/testport"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// readiness returns the status and the text of /readyz.
func readiness(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// waitReady waits until a server is ready.
func waitReady(t *testing.T, url string) {
	t.Helper()
	testwait.Until(t, "the server to be ready", func() bool {
		status, _ := readiness(t, url)
		return status == http.StatusOK
	})
}

// waitNotReady waits until a server is not ready, for a reason.
func waitNotReady(t *testing.T, url, reason string) {
	t.Helper()
	testwait.Until(t, "a server that is not ready: "+reason, func() bool {
		status, text := readiness(t, url)
		return status == http.StatusServiceUnavailable && strings.Contains(text, reason)
	})
}

// A private database that was killed, or that does not start, is started again without a person. Meanwhile the server
// says why it is not ready.
func TestPrivateDatabaseIsSupervised(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p := start(t, "serve", dir, "127.0.0.1:0")
	waitReady(t, p.url)
	killPostmaster(t, dir)
	waitNotReady(t, p.url, "database: ")
	waitReady(t, p.url)
	p.log.contains(t, "the private database has ended", "the private database runs again")

	// It does not start with an invalid setting.
	config := filepath.Join(dir, "postgres", "postgresql.conf")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append(text, "no_such_setting = 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	killPostmaster(t, dir)
	waitNotReady(t, p.url, "contains errors")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	waitReady(t, p.url)
	p.stop(t)
}

// A server that is interrupted during its first start ends in an orderly way, with its database.
func TestFirstStartIsInterrupted(t *testing.T) {
	t.Parallel()
	dir, log := filepath.Join(storetest.Dir(t), "data"), &logBuffer{}
	arguments := []string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0"}
	cmd := exec.CommandContext(t.Context(), program("snapwatch"), arguments...)
	cmd.Env = append(os.Environ(), "DATABASE_URL=", "SNAPWATCH_RUNTIME_DIR="+filepath.Join(binaries, "runtime"))
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	testwait.Until(t, "the private database", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.pid"))
		if err != nil {
			return false
		}
		first, _, _ := strings.Cut(string(text), "\n")
		pid, err = strconv.Atoi(first)
		return err == nil
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if strings.Contains(log.String(), "trying again") {
		t.Errorf("the log is\n%s", log)
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres", "postmaster.pid")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("process %d of the private database was not stopped: %v", pid, err)
	}
}

// A server whose private database does not start serves its page and says why, and starts when the cause is gone.
func TestServerStartsWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	config := filepath.Join(dir, "postgres", "postgresql.conf")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append(text, "no_such_setting = 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	listen := testport.FreeAddress(t)
	started := make(chan *process, 1)
	go func() { started <- start(t, "serve", dir, listen) }()
	url := "http://" + listen
	testwait.Until(t, "the server to listen", func() bool {
		response, err := http.Get(url + "/healthz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	waitNotReady(t, url, "contains errors")
	response, err := http.Get(url + "/api/v1/machines")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("a request gets %s, Retry-After %q", response.Status, response.Header.Get("Retry-After"))
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := <-started
	waitReady(t, p.url)
	p.stop(t)
}

// A server whose database cannot be reached waits for it, and does not show its password.
func TestServerWaitsForItsDatabase(t *testing.T) {
	t.Parallel()
	proxy := storetest.NewProxy(t, storetest.EmptyURL(t))
	proxy.Refuse()
	dir, listen := storetest.Dir(t), testport.FreeAddress(t)
	database := strings.Replace(proxy.URL, ":@", ":s3cret@", 1)
	started := make(chan *process, 1)
	go func() { started <- startWithEnv(t, []string{"DATABASE_URL=" + database}, "serve", dir, listen) }()
	url := "http://" + listen
	testwait.Until(t, "the reason", func() bool {
		response, err := http.Get(url + "/readyz")
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if strings.Contains(string(text), "s3cret") {
			t.Errorf("the password is in %s", text)
		}
		return err == nil && strings.Contains(string(text), "waits for its database: ")
	})
	proxy.Resume()
	p := <-started
	waitReady(t, p.url)
	if strings.Contains(p.log.String(), "s3cret") {
		t.Error("the password is in the log")
	}
	p.stop(t)
}

// A server that starts while its database accepts no changes, or while a table is locked, waits until that is over.
func TestServerWaitsUntilItsAccountsAreReady(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct{ name, reason, begin, end string }{
		{
			"read-only", "store the setup link: ERROR: cannot execute INSERT in a read-only transaction",
			`ALTER DATABASE %s SET default_transaction_read_only = on`,
			`SET default_transaction_read_only = off; ALTER DATABASE %s RESET default_transaction_read_only`,
		},
		{"users locked", "count administrators: ERROR: canceling statement", `BEGIN; LOCK TABLE users`, `COMMIT`},
		{
			"keys locked", "set an enrolment key: ERROR: canceling statement", `BEGIN; LOCK TABLE enrolment_keys`,
			`COMMIT`,
		},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Postgres(t)
			db.Open(t, nil).Close() // it has the settings of an earlier start
			conn := storetest.Connect(t, db.URL)
			run := func(statements string) {
				t.Helper()
				name := pgx.Identifier{conn.Config().Database}.Sanitize()
				all := strings.ReplaceAll(statements, "%s", name)
				if _, err := conn.PgConn().Exec(t.Context(), all).ReadAll(); err != nil {
					t.Fatal(err)
				}
			}
			run(fault.begin)
			dir, listen := storetest.Dir(t), testport.FreeAddress(t)
			env := []string{"DATABASE_URL=" + db.URL + "&statement_timeout=2000"}
			if strings.HasPrefix(fault.name, "keys") {
				env = append(env, "SNAPWATCH_ENROLMENT_KEY=a-key-of-the-settings-that-is-long-enough")
			}
			started := make(chan *process, 1)
			go func() {
				defer close(started) // also if the server has ended
				started <- startWithEnv(t, env, "serve", dir, listen)
			}()
			testwait.Until(t, "the reason", func() bool {
				if t.Failed() {
					t.FailNow() // the server has ended
				}
				response, err := http.Get("http://" + listen + "/readyz")
				if err != nil {
					return false
				}
				defer func() { _ = response.Body.Close() }()
				text, err := io.ReadAll(response.Body)
				return err == nil && response.StatusCode == http.StatusServiceUnavailable &&
					strings.Contains(string(text), "waits for its database: ") &&
					strings.Contains(string(text), fault.reason)
			})
			run(fault.end)
			p, ok := <-started
			if !ok {
				t.FailNow()
			}
			waitReady(t, p.url)
			if link := <-p.links; !strings.Contains(link, "/setup#") {
				t.Errorf("the setup link is %q", link)
			}
			p.stop(t)
		})
	}
}

// After an upgrade of PostgreSQL's package, the private database is restarted with the new programs.
func TestPrivateDatabaseIsRestartedAfterAnUpgrade(t *testing.T) {
	t.Parallel()
	dir, programs := dataDir(t), copyOfPostgreSQL(t)
	p := start(t, "serve", dir, "127.0.0.1:0", "--postgres-bin", programs)
	waitReady(t, p.url)
	before := postmaster(t, dir)
	program := filepath.Join(programs, "postgres")
	for _, command := range [][]string{{"cp", "-a", program, program + ".new"}, {"mv", program + ".new", program}} {
		if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v %s", command, err, out)
		}
	}
	p.log.contains(t, "its programs were replaced", "the private database runs again")
	waitReady(t, p.url)
	if after := postmaster(t, dir); after == before {
		t.Errorf("the postmaster is still process %d", after)
	}
	p.stop(t)
}

// copyOfPostgreSQL returns a directory with programs of PostgreSQL that the test may replace.
func copyOfPostgreSQL(t *testing.T) string {
	t.Helper()
	found, err := exec.CommandContext(t.Context(), "pg_config", "--bindir", "--pkglibdir", "--sharedir").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := storetest.Dir(t)
	var copied []string
	for _, folder := range strings.Fields(string(found)) {
		to := filepath.Join(root, folder)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "cp", "-a", folder, to).CombinedOutput(); err != nil {
			t.Fatalf("copy %s: %v %s", folder, err, out)
		}
		copied = append(copied, to)
	}
	return copied[0]
}

// While the disk is full, posts are refused and nothing is lost. The private database starts again although there is no
// space, and posts are accepted when there is.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root can mount a small file system
	}
	mount := storetest.Dir(t)
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=512m,mode=755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(mount, syscall.MNT_DETACH) })
	dir := filepath.Join(mount, "data")
	template := dataDir(t)
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", template, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	p := start(t, "serve", dir, "127.0.0.1:0")
	waitReady(t, p.url)
	series := snapshottest.NewMachine(1, 20).Series(storetest.Recent(), 3, time.Second, 1).Snapshots
	postOne := func(i int) (int, http.Header) {
		t.Helper()
		body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: "m", Snapshots: series[i : i+1]})
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Post(p.url+"/api/v1/snapshots", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode, response.Header
	}
	if status, _ := postOne(0); status != http.StatusCreated {
		t.Fatalf("the first post: %d", status)
	}
	testwait.Until(t, "the disk reserve", func() bool {
		_, err := os.Stat(filepath.Join(dir, "reserve"))
		return err == nil
	})
	fillDisk(t, filepath.Join(mount, "filler"))
	waitNotReady(t, p.url, "disk: the disk of the database has ")
	// If PostgreSQL cannot look up the token either, the status is that of a database that is away.
	status, header := postOne(1)
	if status != http.StatusInsufficientStorage && status != http.StatusServiceUnavailable ||
		header.Get("Retry-After") == "" {
		t.Errorf("on a full disk: %d, Retry-After %q", status, header.Get("Retry-After"))
	}
	// It may have ended by itself, because of the full disk.
	if _, err := os.Stat(filepath.Join(dir, "postgres", "postmaster.pid")); err == nil {
		killPostmaster(t, dir)
	}
	p.log.contains(t, "the private database runs again")
	waitNotReady(t, p.url, "disk: ")
	if err := os.Remove(filepath.Join(mount, "filler")); err != nil {
		t.Fatal(err)
	}
	waitReady(t, p.url)
	for i := 1; i < 3; i++ {
		if status, _ := postOne(i); status != http.StatusCreated {
			t.Errorf("post %d after the disk had space again: %d", i, status)
		}
	}
	if stored := storedSnapshots(t, dir); stored != 3 {
		t.Errorf("%d snapshots are stored", stored)
	}

	// The same if the server itself starts on a full disk, as after a power failure.
	testwait.Until(t, "the disk reserve to be there again", func() bool {
		_, err := os.Stat(filepath.Join(dir, "reserve"))
		return err == nil
	})
	fillDisk(t, filepath.Join(mount, "filler"))
	p.kill(t)
	if _, err := os.Stat(filepath.Join(dir, "postgres", "postmaster.pid")); err == nil {
		killPostmaster(t, dir)
	}
	p = start(t, "serve", dir, "127.0.0.1:0")
	p.log.contains(t, "released the disk reserve")
	waitNotReady(t, p.url, "disk: the disk of the database has ")
	if stored := storedSnapshots(t, dir); stored != 3 {
		t.Errorf("%d snapshots are stored after the start on a full disk", stored)
	}
	if err := os.Remove(filepath.Join(mount, "filler")); err != nil {
		t.Fatal(err)
	}
	waitReady(t, p.url)
	p.stop(t)
}

// fillDisk writes a file until the disk is full.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for block := make([]byte, 64<<10); err == nil; {
		_, err = file.Write(block)
	}
	if !strings.Contains(err.Error(), "no space left") {
		t.Fatal(err)
	}
}
