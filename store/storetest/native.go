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

// nativeEnv names a server with TimescaleDB, as its superuser, to use in place of
// PGlite: so the same tests run on any version that somebody has installed.
const nativeEnv = "SNAPWATCH_TEST_TIMESCALE"

// nativeDatabase makes an empty database on that server, with the extension's
// version of SNAPWATCH_TEST_TIMESCALE_VERSION if that is set.
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
		t.Fatalf("make a database on %s: %v", nativeEnv, err)
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
	// Tests run its jobs themselves, and would meet its scheduler.
	for _, statement := range []string{statement, "SELECT _timescaledb_functions.stop_background_workers()"} {
		if err := on(t.Context(), address.String(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return address.String()
}

// NativeTimescale returns two databases on the server that is given for tests: one
// migrated, one with the extension alone; false if none is given.
func NativeTimescale(t testing.TB) (migrated, empty Database, ok bool) {
	t.Helper()
	server := os.Getenv(nativeEnv)
	if server == "" {
		return Database{}, Database{}, false
	}
	detection := asWanted(backend.Timescale)
	return Database{TimescaleURL(t), detection}, Database{nativeDatabase(t, server), detection}, true
}
