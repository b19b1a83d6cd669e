//go:build linux

package main_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
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

// startPgBouncer starts PgBouncer in front of a database, and returns the database's URL through it.
func startPgBouncer(t *testing.T, databaseURL, mode string) string {
	t.Helper()
	database, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	address := testport.FreeAddress(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	dir := storetest.Dir(t)
	config := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(config, fmt.Appendf(nil, `[databases]
snapwatch = host=%s port=%d dbname=%s user=%s
[pgbouncer]
listen_addr = %s
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = %s
max_client_conn = 200
default_pool_size = 60
`, database.Host, database.Port, database.Database, database.User, host, port, mode), 0o644); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer" // the folder is not in the PATH of every user
	}
	cmd := exec.Command(path, config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: databaseOwner(t)}
	log := &logBuffer{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start PgBouncer: %v; deploy/require.sh pgbouncer installs it", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	testwait.Until(t, "PgBouncer to listen", func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return "postgres://snapwatch@" + address + "/snapwatch?sslmode=disable"
}

// databaseOwner returns the user that test databases run as, nil for the current one. PgBouncer does not run as root.
func databaseOwner(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	postgres, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(postgres.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(postgres.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// Behind PgBouncer in session mode, everything works without a setting.
func TestPgBouncerInSessionMode(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyURL(t)
	p := startWithEnv(t, []string{"DATABASE_URL=" + startPgBouncer(t, url, "session")}, "serve", storetest.Dir(t),
		"127.0.0.1:0")
	waitReady(t, p.url) // notifications arrive
	series := snapshottest.NewMachine(1, 5).Series(storetest.Recent(), 2, time.Second, 1)
	body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: "m", Snapshots: series.Snapshots})
	if err != nil {
		t.Fatal(err)
	}
	if err := post(t.Context(), p.url, body); err != nil {
		t.Fatal(err)
	}
	var stored int
	if err := storetest.Connect(t, url).QueryRow(t.Context(), `SELECT count(*) FROM snapshots`).Scan(&stored); err != nil ||
		stored != 2 {
		t.Errorf("%d snapshots are stored (%v)", stored, err)
	}
	response, err := client.Get(p.url + "/api/v1/machines")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("a read gets %s", response.Status)
	}
	p.stop(t)
}

// Transaction mode and statement mode are refused with advice, and nothing is created.
func TestPgBouncerInOtherModes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			url := storetest.EmptyURL(t)
			cmd := exec.CommandContext(t.Context(), program("snapwatch"), "serve", "--listen", "127.0.0.1:0",
				"--data-dir", storetest.Dir(t))
			cmd.Env = append(os.Environ(), "DATABASE_URL="+startPgBouncer(t, url, mode))
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "pool_mode = session") {
				t.Errorf("%v\n%s", err, out)
			}
			var tables int
			if err := storetest.Connect(t, url).QueryRow(t.Context(), `SELECT count(*) FROM pg_tables
				WHERE schemaname = 'public'`).Scan(&tables); err != nil || tables > 0 {
				t.Errorf("%d tables were created (%v)", tables, err)
			}
		})
	}
}
