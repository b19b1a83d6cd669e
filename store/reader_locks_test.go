package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// Every role can take advisory locks. Late posts wait for none, and a reader cannot take the lock that they use.
func TestLatePostsBesideAdvisoryLocks(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	s := db.Open(t, nil)
	reader, role := storetest.ConnectAdmin(t, db), storetest.Role(t, db)
	if _, err := s.GrantReader(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{`SET ROLE ` + role, `SELECT pg_advisory_lock(7265103)`} {
		if _, err := reader.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeOne(t.Context(), s, "late", lateSnapshot(time.Now().Add(-3*day))); err != nil {
		t.Errorf("a late post beside an advisory lock: %v", err)
	}
	if _, err := reader.Exec(t.Context(), `DO $$ BEGIN LOCK TABLE settings IN ROW SHARE MODE; END $$`); err == nil ||
		!strings.Contains(err.Error(), "42501") {
		t.Errorf("the reader locks the settings: %v", err)
	}
}

// A server that waits for the lock of the schema reports who holds it.
func TestHoldersOfTheSchemaLock(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	holder := storetest.Connect(t, url)
	var name string
	if err := holder.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	id, err := database.GenerateAdvisoryLockId(name, "public", "schema_migrations")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), `SELECT pg_advisory_lock($1::bigint)`, id); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := testwait.Context(t)
	defer cancel()
	reports, migrated := make(chan string, 1000), make(chan error, 1)
	go func() {
		_, err := store.MigrateAndReport(context.WithoutCancel(ctx), url, backend.Postgres, storetest.Logger(),
			func(holders string) { reports <- holders })
		migrated <- err
	}()
	select {
	case got := <-reports:
		if !strings.Contains(got, "pid ") || !strings.Contains(got, "user "+holder.Config().User) {
			t.Errorf("the holders are %q", got)
		}
	case <-ctx.Done():
		t.Fatal("nothing was reported")
	}
	if _, err := holder.Exec(t.Context(), `SELECT pg_advisory_unlock($1::bigint)`, id); err != nil {
		t.Fatal(err)
	}
	if err := <-migrated; err != nil {
		t.Fatal(err)
	}
	last := ""
	for len(reports) > 0 {
		last = <-reports
	}
	if last != "" {
		t.Errorf("the last report is %q", last)
	}
}
