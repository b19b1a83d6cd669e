package inspection_test

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
	"github.com/snapwatch/snapwatch/store/storetest"
)

// pooler starts PgBouncer in front of a database, until the test ends, and returns the URL of the database through it.
func pooler(t *testing.T, databaseURL, mode string) string {
	t.Helper()
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	dir := storetest.Dir(t)
	file := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
%[1]s = host=%[2]s port=5432 user=snapwatch dbname=%[1]s
[pgbouncer]
listen_addr =
unix_socket_dir = %[3]s
listen_port = 6432
auth_type = any
pool_mode = %[4]s
default_pool_size = 5
`, config.Database, config.Host, dir, mode)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // not in the PATH of all users
	}
	cmd := exec.Command(program, file)
	if os.Geteuid() == 0 { // PgBouncer does not run as root
		account, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(account.Uid)
		gid, _ := strconv.Atoi(account.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = testlog.Writer(), testlog.Writer()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	testwait.Until(t, "PgBouncer to listen", func() bool {
		_, err := os.Stat(filepath.Join(dir, ".s.PGSQL.6432"))
		return err == nil
	})
	return fmt.Sprintf("postgres://snapwatch@/%s?host=%s&port=6432", config.Database, url.QueryEscape(dir))
}
