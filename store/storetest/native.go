package storetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/store/backend"
)

// nativeEnv is an environment variable with the URL of a server with TimescaleDB, for a superuser. If it is
// set, tests use that server instead of PGlite, for example to test another version.
const nativeEnv = "SNAPWATCH_TEST_TIMESCALE"

// nativeDatabase creates an empty database on that server. SNAPWATCH_TEST_TIMESCALE_VERSION selects a
// version of the extension.
func nativeDatabase(t testing.TB, server string) string {
	t.Helper()
	name := fmt.Sprintf("snapwatch_test_%d_%d", os.Getpid(), counter.Add(1))
	on := func(ctx context.Context, address, statement string) error {
		conn, err := pgx.Connect(ctx, address)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, statement)
		return err
	}
	if err := on(t.Context(), server, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatalf("create a database on %s: %v", nativeEnv, err)
	}
	t.Cleanup(func() {
		if err := on(context.Background(), server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	address, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is not a URL", nativeEnv)
	}
	address.Path = "/" + name
	statement := "CREATE EXTENSION timescaledb"
	if version := os.Getenv(nativeEnv + "_VERSION"); version != "" {
		statement += " VERSION '" + version + "'"
	}
	// Stop the scheduler, because tests run its jobs themselves.
	for _, statement := range []string{statement, "SELECT _timescaledb_functions.stop_background_workers()"} {
		if err := on(t.Context(), address.String(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return address.String()
}

// NativeTimescale returns two databases on the server of SNAPWATCH_TEST_TIMESCALE: a migrated one, and one
// with only the extension. ok is false if there is no such server.
func NativeTimescale(t testing.TB) (migrated, empty Database, ok bool) {
	t.Helper()
	server := os.Getenv(nativeEnv)
	if server == "" {
		return Database{}, Database{}, false
	}
	timescale := detection(backend.Timescale)
	return Database{TimescaleURL(t), timescale}, Database{nativeDatabase(t, server), timescale}, true
}

// IsNative reports whether tests use the server of SNAPWATCH_TEST_TIMESCALE instead of PGlite.
func IsNative() bool { return os.Getenv(nativeEnv) != "" }

// NativeTimescaleURL creates a migrated database on the server of SNAPWATCH_TEST_TIMESCALE. It skips the test if
// there is no such server: PGlite has a single session, so nothing in it waits for locks.
func NativeTimescaleURL(t testing.TB) string {
	t.Helper()
	if !IsNative() {
		t.Skip("needs a server with TimescaleDB in " + nativeEnv)
	}
	return TimescaleURL(t)
}
