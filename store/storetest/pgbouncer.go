//go:build unix

package storetest

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/internal/testwait"
)

// StartPgBouncer starts PgBouncer in front of a database, until the test ends, and returns the URL of the database
// through it. mode is its pool_mode, and size the number of connections to the database.
func StartPgBouncer(t testing.TB, databaseURL, mode string, size int) string {
	t.Helper()
	database, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	dir := Dir(t)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, fmt.Appendf(nil, `[databases]
%[1]s = host=%[2]s port=%[3]d user=%[4]s dbname=%[1]s
[pgbouncer]
listen_addr =
unix_socket_dir = %[5]s
listen_port = 6432
auth_type = any
pool_mode = %[6]s
max_client_conn = 200
default_pool_size = %[7]d
`, database.Database, database.Host, database.Port, database.User, dir, mode, size), 0o644); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // the folder is not in the PATH of every user
	}
	cmd := exec.Command(program, file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: ownerOf(t, dir)}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = testlog.Writer(), testlog.Writer()
	if err := cmd.Start(); err != nil {
		t.Fatalf("start PgBouncer: %v; deploy/require.sh pgbouncer installs it", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	testwait.Until(t, "PgBouncer to listen", func() bool {
		_, err := os.Stat(filepath.Join(dir, ".s.PGSQL.6432"))
		return err == nil
	})
	return fmt.Sprintf("postgres://%s@/%s?host=%s&port=6432&sslmode=disable", database.User, database.Database,
		url.QueryEscape(dir))
}

// ownerOf returns the user that PgBouncer runs as, and gives it a folder. It is nil for the current user. PgBouncer
// does not run as root.
func ownerOf(t testing.TB, dir string) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	postgres, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(postgres.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(postgres.Gid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
