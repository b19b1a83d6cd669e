//go:build linux

package main_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testport"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// newPostgresEnv is an environment variable with the programs of a newer PostgreSQL than that of the private clusters.
// Without it, these tests move clusters to a new cluster of the same version.
const newPostgresEnv = "SNAPWATCH_TEST_NEW_POSTGRES"

// target returns the settings of an upgrade, and those of a server on the upgraded cluster.
func target(t *testing.T, dir string) (upgrade, serve []string) {
	t.Helper()
	if bin := os.Getenv(newPostgresEnv); bin != "" {
		return []string{"--postgres-bin", bin}, []string{"--postgres-bin", bin}
	}
	return []string{"--to", version(t, dir)}, nil
}

// version returns the major version of the private database of a directory.
func version(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "postgres", "PG_VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func mustUpgrade(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := shell(t, dir, "", append([]string{"upgrade-database"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// refused checks that an upgrade fails with a message, and leaves nothing behind.
func refused(t *testing.T, dir, message string, args ...string) {
	t.Helper()
	before := version(t, dir)
	if _, err := shell(t, dir, "", append([]string{"upgrade-database"}, args...)...); err == nil ||
		!strings.Contains(err.Error(), message) {
		t.Errorf("%v: %v, want %q", args, err, message)
	}
	if after := version(t, dir); after != before {
		t.Errorf("the cluster has version %s after a failed upgrade", after)
	}
	checkNoLeftovers(t, dir)
}

// checkNoLeftovers checks that a data directory has neither an unfinished cluster nor an unfinished switch.
func checkNoLeftovers(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"upgrade", "postgres.switch", "postgres.new"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was left behind", name)
		}
	}
}

// history is the snapshots of one machine.
type history []snapshot.Snapshot

func newHistory(n int) history {
	return snapshottest.NewMachine(1, 30).Series(storetest.Recent(), n, time.Second, 1).Snapshots
}

// post sends the snapshots to a server.
func (h history) post(t *testing.T, p *process) {
	t.Helper()
	body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: "m", Snapshots: h})
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Post(p.url+"/api/v1/snapshots", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("the post: %s", response.Status)
	}
}

// read returns the process lists of all snapshots but the last one from a server.
func (h history) read(t *testing.T, p *process) string {
	t.Helper()
	var all strings.Builder
	for _, s := range h[:len(h)-1] {
		status, text := fetch(t, p.url+"/api/v1/machines/m/at?time="+s.Timestamp.String())
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		all.WriteString(text)
	}
	return all.String()
}

// stored returns a data directory with a history, and the history as the API returns it.
func stored(t *testing.T, h history) (dir, before string) {
	t.Helper()
	dir = dataDir(t)
	p := start(t, "serve", dir, "127.0.0.1:0")
	h.post(t, p)
	before = h.read(t, p)
	p.stop(t)
	return dir, before
}

// checkHistory checks that a server on a data directory returns a history.
func checkHistory(t *testing.T, dir string, h history, want string, settings ...string) *process {
	t.Helper()
	p := start(t, "serve", dir, "127.0.0.1:0", settings...)
	if got := h.read(t, p); got != want {
		t.Errorf("the history differs:\n%.2000s\nwant\n%.2000s", got, want)
	}
	return p
}

// After an upgrade by each method, the history is the same. The upgrade can be reverted.
func TestUpgradeDatabase(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"auto", "pg_upgrade", "dump"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			h := newHistory(8)
			dir, before := stored(t, h[:4])
			from := version(t, dir)
			upgrade, serve := target(t, dir)
			out := mustUpgrade(t, dir, append(upgrade, "--method", method)...)
			to := version(t, dir)
			kept := filepath.Join(dir, "postgres.old-"+from)
			for _, text := range []string{
				"has version " + to, "rm -r " + kept, "upgrade-database --revert",
				"collecting statistics of the database snapwatch",
			} {
				if !strings.Contains(out, text) {
					t.Errorf("the output has no %q: %s", text, out)
				}
			}
			if dumped := strings.Contains(out, "tables of the database snapwatch"); dumped != (method == "dump") {
				t.Errorf("method %s: %s", method, out)
			}
			checkNoLeftovers(t, dir)
			p := checkHistory(t, dir, h[:4], before, serve...)
			var analysed bool
			queryRow(t, dir, `SELECT EXISTS (SELECT FROM pg_stats WHERE tablename = 'snapshots')`, &analysed)
			if !analysed {
				t.Error("there are no statistics for the planner")
			}
			h[4:].post(t, p)
			p.stop(t)

			mustUpgrade(t, dir, "--revert")
			if got := version(t, dir); got != from {
				t.Errorf("the reverted cluster has version %s", got)
			}
			p = checkHistory(t, dir, h[:4], before)
			if n := storedSnapshots(t, dir); n != 4 {
				t.Errorf("%d snapshots after going back", n)
			}
			p.stop(t)
			// The cluster of the upgrade is kept in turn.
			mustUpgrade(t, dir, "--revert")
			p = start(t, "serve", dir, "127.0.0.1:0", serve...)
			if n := storedSnapshots(t, dir); n != 8 {
				t.Errorf("%d snapshots after going forward again", n)
			}
			p.stop(t)
		})
	}
}

// fakePostgreSQL returns a directory with programs that only print a version.
func fakePostgreSQL(t *testing.T, major string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + major + ".1'\n"
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pretendVersion makes a cluster look like one of another version, until restore is called.
func pretendVersion(t *testing.T, dir, major string) (restore func()) {
	t.Helper()
	path := filepath.Join(dir, "postgres", "PG_VERSION")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(major+"\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// An upgrade that cannot succeed changes nothing and says what to do.
func TestUpgradeIsRefused(t *testing.T) {
	t.Parallel()
	h := newHistory(2)
	dir, before := stored(t, h)
	current := version(t, dir)
	refused(t, dir, "name its programs with --postgres-bin", "--postgres-bin", t.TempDir())
	refused(t, dir, "of version 97", "--to", "97")
	refused(t, dir, "there is no cluster of an earlier upgrade", "--revert")
	refused(t, dir, "DATABASE_URL is set", "--database-url", "postgres://localhost/x")
	refused(t, dir, "--clone is for pg_upgrade", "--clone", "--method", "dump")
	refused(t, dir, "is unchanged", "--to", current, "--old-bin", fakePostgreSQL(t, current))
	out := mustUpgrade(t, dir, "--postgres-bin", fakePostgreSQL(t, current))
	if !strings.Contains(out, "no newer version") {
		t.Errorf("without a newer version: %s", out)
	}
	restore := pretendVersion(t, dir, "98")
	refused(t, dir, "apt-get install postgresql-98", "--postgres-bin", fakePostgreSQL(t, "99"))
	refused(t, dir, "Only PostgreSQL 98 itself can read its files", "--postgres-bin", fakePostgreSQL(t, "99"))
	refused(t, dir, "cannot be moved to the older version 97", "--postgres-bin", fakePostgreSQL(t, "97"))
	restore()

	p := checkHistory(t, dir, h, before)
	refused(t, dir, "systemctl stop snapwatch", "--to", current)
	p.stop(t)
}

// A server whose private database has a version that is not installed says so, and starts when the version is there.
func TestServerWaitsForTheVersionOfItsDatabase(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	restore := pretendVersion(t, dir, "98")
	if _, err := shell(t, dir, "", "token", "list"); err == nil || !strings.Contains(err.Error(), "upgrade-database") {
		t.Errorf("a command: %v", err)
	}
	listen := testport.FreeAddress(t)
	started := make(chan *process, 1)
	newer := fakePostgreSQL(t, "99")
	go func() {
		started <- startWithEnv(t, []string{"PATH=" + newer + ":" + os.Getenv("PATH")}, "serve", dir, listen)
	}()
	url := "http://" + listen
	testwait.Until(t, "the server to listen", func() bool {
		response, err := http.Get(url + "/healthz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	waitNotReady(t, url, "of version 98, which the existing cluster requires, only version 99 in "+newer)
	waitNotReady(t, url, "snapwatch upgrade-database")
	restore()
	p := <-started
	waitReady(t, p.url)
	// It says before the version is removed that the database must be moved.
	p.log.contains(t, "a newer version of PostgreSQL is installed", "newest=99")
	p.stop(t)
}
