package embedded_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/store/embedded"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func config(dir string) embedded.Config {
	return embedded.Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func start(t *testing.T, dir string) *embedded.Cluster {
	t.Helper()
	c, err := embedded.Start(t.Context(), config(dir))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func stop(t *testing.T, c *embedded.Cluster) {
	t.Helper()
	if err := c.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func query[T any](t *testing.T, url, sql string) (value T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestLifeOfACluster(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(storetest.Dir(t), "a", "b")
	if _, err := embedded.FindURL(dir); err == nil {
		t.Error("found a cluster in an empty directory")
	}
	c := start(t, dir)
	if role := query[string](t, c.URL(), `SELECT current_user || ' ' || current_database()`); role != "snapwatch snapwatch" {
		t.Errorf("connected as %s", role)
	}
	if super := query[bool](t, c.URL(), `SELECT rolsuper FROM pg_roles WHERE rolname = current_user`); super {
		t.Error("the server's own role is a superuser")
	}
	if tcp := query[string](t, c.URL(), `SHOW listen_addresses`); tcp != "" {
		t.Errorf("it listens on %q", tcp)
	}
	if method := query[string](t, c.SuperuserURL(), `SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules`); method != "peer" {
		t.Errorf("it trusts by %s", method)
	}
	if _, err := embedded.Start(t.Context(), config(dir)); !errors.Is(err, embedded.ErrInUse) {
		t.Errorf("a second start on the directory: %v", err)
	}
	url := c.URL()
	query[int](t, url, `WITH made AS (SELECT 1 AS n) SELECT n FROM made`)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE kept AS SELECT 7 AS n`); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())

	// The process that started the cluster is gone, but the cluster still runs: Start connects to it.
	before, err := c.PID()
	if err != nil {
		t.Fatal(err)
	}
	c.Release()
	c = start(t, dir)
	if after, err := c.PID(); err != nil || after != before {
		t.Errorf("process %d, then %d (%v)", before, after, err)
	}
	stop(t, c)
	if found, err := embedded.FindURL(dir); err != nil || found != url {
		t.Errorf("found %q, %v", found, err)
	}
	c = start(t, dir)
	defer stop(t, c)
	if n := query[int](t, c.URL(), `SELECT n FROM kept`); n != 7 {
		t.Errorf("kept %d", n)
	}
}

// Full pages in the log are compressed with the best method that the binaries support.
func TestLogIsCompressed(t *testing.T) {
	t.Parallel()
	c := start(t, storetest.Dir(t))
	defer stop(t, c)
	want := "pglz"
	if query[bool](t, c.URL(), `SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'wal_compression'`) {
		want = "lz4"
	}
	if got := query[string](t, c.URL(), `SHOW wal_compression`); got != want && !(want == "pglz" && got == "on") {
		t.Errorf("the log is compressed by %s, want %s", got, want)
	}
}

// A data directory whose path is longer than that of a socket may be works.
func TestLongDirectory(t *testing.T) {
	t.Parallel()
	c := start(t, filepath.Join(storetest.Dir(t), strings.Repeat("long/", 25)))
	defer stop(t, c)
	query[int](t, c.URL(), `SELECT 1`)
}

// An interrupted initdb must not be mistaken for a cluster.
func TestInterruptedInitdb(t *testing.T) {
	t.Parallel()
	dir := storetest.Dir(t)
	torn := filepath.Join(dir, "postgres.new")
	if err := os.MkdirAll(torn, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(torn, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := start(t, dir)
	defer stop(t, c)
	query[int](t, c.URL(), `SELECT 1`)
}

// An initdb outlives the server that was killed, and must not write into the cluster of the next one.
func TestInterruptedInitdbStillWrites(t *testing.T) {
	t.Parallel()
	dir := storetest.Dir(t)
	stray := filepath.Join(dir, "postgres.new", "global")
	writer := exec.CommandContext(t.Context(), "sh", "-c",
		`echo; n=0; while :; do n=$((n+1)); mkdir -p "$0"; : >"$0/stray$n"; done 2>/dev/null`, stray)
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = writer.Process.Kill(), writer.Wait() }()
	if _, err := out.Read(make([]byte, 1)); err != nil { // it is running
		t.Fatal(err)
	}
	cfg := config(dir)
	cfg.OnFailure = func(err error) { t.Errorf("an attempt to start failed: %v", err) }
	c, err := embedded.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := filepath.Glob(filepath.Join(dir, "postgres", "global", "stray*")); err != nil || len(found) > 0 {
		t.Errorf("in the cluster: %v, %v", found, err)
	}
	_, _ = writer.Process.Kill(), writer.Wait()
	stop(t, c)
	// The next start removes what the other one has left.
	c = start(t, dir)
	defer stop(t, c)
	if found, err := filepath.Glob(filepath.Join(dir, "postgres.new*")); err != nil || len(found) > 0 {
		t.Errorf("left: %v, %v", found, err)
	}
}

func TestNoBinaries(t *testing.T) {
	t.Parallel()
	cfg := config(storetest.Dir(t))
	cfg.BinDir = t.TempDir()
	_, err := embedded.Start(t.Context(), cfg)
	if !errors.Is(err, embedded.ErrNoBinaries) || !strings.Contains(err.Error(), "DATABASE_URL") {
		t.Errorf("without binaries: %v", err)
	}
	// The directory is not locked any more.
	cfg.BinDir = ""
	c, err := embedded.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, c)
	// A cluster of a version that is not installed is not touched.
	if err := os.WriteFile(filepath.Join(cfg.Dir, "postgres", "PG_VERSION"), []byte("14\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Start(t.Context(), cfg); !errors.Is(err, embedded.ErrNoBinaries) ||
		!strings.Contains(err.Error(), "version 14") {
		t.Errorf("a cluster of another version: %v", err)
	}
}

func TestClosedDirectoryIsNamed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root starts the cluster as another user
	}
	dir, err := os.MkdirTemp("", "snapwatch-closed-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if _, err := embedded.Start(t.Context(), config(filepath.Join(dir, "data"))); err == nil ||
		!strings.Contains(err.Error(), dir) {
		t.Errorf("a directory that postgres cannot access: %v", err)
	}
}

// A start that follows symbolic links in a directory that others can change would give them files of root.
func TestUnsafeDirectoriesAreRefused(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(dir, outside string) error{
		"lock": func(dir, outside string) error { return os.Symlink(outside, filepath.Join(dir, "lock")) },
		"log":  func(dir, outside string) error { return os.Symlink(outside, filepath.Join(dir, "postgres.log")) },
		"run":  func(dir, outside string) error { return os.Symlink(filepath.Dir(outside), filepath.Join(dir, "run")) },
		"open": func(dir, _ string) error { return os.Chmod(dir, 0o777) },
		"open parent": func(dir, _ string) error {
			return errors.Join(os.Chmod(filepath.Dir(dir), 0o777), os.Chmod(dir, 0o755))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, outside := filepath.Join(storetest.Dir(t), "data"), filepath.Join(t.TempDir(), "outside")
			if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(outside, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			if err := prepare(dir, outside); err != nil {
				t.Fatal(err)
			}
			c, err := embedded.Start(t.Context(), config(dir))
			if err == nil {
				stop(t, c)
				t.Fatal("the cluster started")
			}
			if info, statErr := os.Stat(outside); statErr != nil || info.Mode().Perm() != 0o600 || info.Size() != 0 {
				t.Errorf("the file outside was changed: %v, %v", info, statErr)
			}
			before, statErr := os.Stat(t.TempDir())
			after, outsideErr := os.Stat(outside)
			if statErr != nil || outsideErr != nil || owner(before) != owner(after) {
				t.Errorf("the file outside has another owner: %v, %v", statErr, outsideErr)
			}
		})
	}
}

func owner(info os.FileInfo) uint32 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Uid
	}
	return 0
}

func TestMustExist(t *testing.T) {
	t.Parallel()
	cfg := config(filepath.Join(storetest.Dir(t), "none"))
	cfg.MustExist = true
	if _, err := embedded.Start(t.Context(), cfg); !errors.Is(err, embedded.ErrNoCluster) ||
		!strings.Contains(err.Error(), cfg.Dir) {
		t.Errorf("%v, want the directory", err)
	}
	if _, err := os.Stat(cfg.Dir); err == nil {
		t.Error("the directory was created")
	}
}
