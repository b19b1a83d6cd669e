// Package storetest provides real databases for tests. Each test binary starts a private PostgreSQL cluster
// when a test first needs one. Each test gets a migrated database of its own, or shares one, so tests can run
// in parallel.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/embedded"
)

// template is the migrated database that is copied for each test.
const template = "snapwatch_template"

// testRetention is the retention of the stores that Open opens.
const testRetention = 30 * 24 * time.Hour

var counter atomic.Int64

// server is the cluster of this test binary.
var server struct {
	once    sync.Once
	stops   bool // at the end of the tests, by Main
	dir     string
	cluster *embedded.Cluster
	err     error
}

// cluster starts the cluster when it is first needed. A fuzzer's workers never need it.
func cluster() (*embedded.Cluster, error) {
	server.once.Do(func() {
		if !server.stops {
			server.err = errors.New("nothing would stop it: call storetest.Main from TestMain")
			return
		}
		ctx := context.Background()
		if server.dir, server.err = makeDir(); server.err != nil {
			return
		}
		config := embedded.Config{Dir: filepath.Join(server.dir, "data"), Logger: Logger()}
		if server.cluster, server.err = embedded.Start(ctx, config); server.err != nil {
			return
		}
		if server.err = execute(ctx, "CREATE DATABASE "+template+" OWNER snapwatch"); server.err != nil {
			return
		}
		_, server.err = store.Migrate(ctx, server.cluster.DatabaseURL(template), backend.Postgres, Logger())
	})
	return server.cluster, server.err
}

// Main runs the tests of a package and stops the databases. Call it from TestMain.
func Main(m *testing.M) int {
	server.stops = true
	code := m.Run()
	if startedHost != nil {
		startedHost.stop()
	}
	if server.cluster != nil {
		if err := server.cluster.Stop(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "storetest:", err)
			code = max(code, 1)
		}
	}
	if server.dir != "" {
		if err := os.RemoveAll(server.dir); err != nil {
			fmt.Fprintln(os.Stderr, "storetest:", err)
		}
	}
	return code
}

// makeDir creates a directory that the owner of the cluster can access. Directories of testing.T are not
// always accessible.
func makeDir() (string, error) {
	dir, err := os.MkdirTemp("", "snapwatch-test-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// Dir creates a directory for a cluster of the test. It is removed when the test ends.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := makeDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// execute runs a statement as superuser of the cluster.
func execute(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, server.cluster.SuperuserURL())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// EmptyURL creates an empty database for the test and returns its URL.
func EmptyURL(t testing.TB) string { return newDatabase(t, "template0") }

// EmptyURLOfLocale creates an empty database with a locale of ICU for the test and returns its URL.
func EmptyURLOfLocale(t testing.TB, locale string) string {
	return newDatabase(t, "template0 LOCALE_PROVIDER icu ICU_LOCALE '"+locale+"'")
}

// URL creates a migrated database for the test and returns its URL.
func URL(t testing.TB) string { return newDatabase(t, template) }

// detection returns the Detection of a test's database.
func detection(profile string) store.Detection {
	return store.Detection{Profile: profile, Reason: "set by the test"}
}

// Postgres creates a migrated database of the postgres profile for the test.
func Postgres(t testing.TB) Database {
	t.Helper()
	return Database{URL(t), detection(backend.Postgres)}
}

func newDatabase(t testing.TB, from string) string {
	t.Helper()
	name, url, err := createDatabase(from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := execute(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	return url
}

func createDatabase(from string) (name, url string, err error) {
	running, err := cluster()
	if err != nil {
		return "", "", fmt.Errorf("start PostgreSQL: %w", err)
	}
	name = fmt.Sprintf("test_%d", counter.Add(1))
	statement := fmt.Sprintf("CREATE DATABASE %s OWNER snapwatch TEMPLATE %s", name, from)
	if err := execute(context.Background(), statement); err != nil {
		return "", "", fmt.Errorf("create a database: %w", err)
	}
	return name, running.DatabaseURL(name), nil
}

// Open opens a store on a new database of the postgres profile. change may be nil, or alter the config.
func Open(t testing.TB, change func(*store.Config)) *store.Store {
	t.Helper()
	cfg := store.Config{DatabaseURL: URL(t), Retention: testRetention}
	if change != nil {
		change(&cfg)
	}
	return OpenConfig(t, cfg)
}

// OpenConfig opens a store, and closes it when the test ends.
func OpenConfig(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	if cfg.Detection.Profile == "" {
		cfg.Detection = detection(backend.Postgres)
	}
	s, err := store.Open(t.Context(), cfg, Logger(), prometheus.NewRegistry())
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Connect opens a connection to a database, and closes it when the test ends.
func Connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Logger returns the logger whose output is checked for secrets after the test run.
func Logger() *slog.Logger { return testlog.Logger() }

// ConnectAdmin opens a connection to a database as superuser.
func ConnectAdmin(t testing.TB, db Database) *pgx.Conn {
	t.Helper()
	if db.Detection.Profile == backend.Timescale {
		return Connect(t, db.URL) // its role is a superuser
	}
	name := Connect(t, db.URL).Config().Database
	config, err := pgx.ParseConfig(server.cluster.SuperuserURL())
	if err != nil {
		t.Fatal(err)
	}
	config.Database = name
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatalf("connect as superuser: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Role creates a role without privileges, and drops it when the test ends.
func Role(t testing.TB, db Database) string {
	t.Helper()
	role := fmt.Sprintf("test_role_%d", counter.Add(1))
	conn := ConnectAdmin(t, db)
	if _, err := conn.Exec(t.Context(), "CREATE ROLE "+role); err != nil {
		t.Fatalf("create a role: %v", err)
	}
	t.Cleanup(func() {
		if _, err := conn.Exec(context.Background(), "DROP OWNED BY "+role); err != nil {
			t.Errorf("revoke the privileges of a role: %v", err)
		}
		if _, err := conn.Exec(context.Background(), "DROP ROLE "+role); err != nil {
			t.Errorf("drop a role: %v", err)
		}
	})
	return role
}
