package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestIsUnavailable(t *testing.T) {
	t.Parallel()
	_, refused := pgx.Connect(t.Context(), "postgres://a@127.0.0.1:1/a?sslmode=disable")
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("other"), false},
		{context.DeadlineExceeded, false},
		{refused, true},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		{&pgconn.PgError{Code: "57P03"}, true},  // starting up
		{&pgconn.PgError{Code: "53300"}, true},  // too many connections
		{&pgconn.PgError{Code: "53100"}, true},  // disk full
		{&pgconn.PgError{Code: "25006"}, true},  // read-only
		{&pgconn.PgError{Code: "55P03"}, true},  // locked
		{&pgconn.PgError{Code: "57014"}, false}, // took too long
		{&pgconn.PgError{Code: "22P02"}, false},
		{&pgconn.PgError{Code: "42P01"}, true},
	} {
		if got := store.IsUnavailable(test.err); got != test.want {
			t.Errorf("%v: %v", test.err, got)
		}
	}
}

// The check fails if changes cannot be committed, although reads work.
func TestCheckWrite(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	s := db.Open(t, nil)
	if err := s.CheckWrite(t.Context()); err != nil {
		t.Fatal(err)
	}
	admin := storetest.ConnectAdmin(t, db)
	name := pgx.Identifier{storetest.Connect(t, db.URL).Config().Database}.Sanitize()
	for _, statement := range []string{
		`ALTER DATABASE ` + name + ` SET default_transaction_read_only = on`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`,
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	// The connections that were terminated fail first.
	testwait.Until(t, "an error of the read-only database", func() bool {
		_, _ = s.IsSuperuser(t.Context()) // on a connection of the accounts
		err := s.CheckWrite(t.Context())
		return err != nil && strings.Contains(err.Error(), "read-only") && store.IsUnavailable(err)
	})
	// No session is ended now. Those of the read-only time are not used again.
	for _, statement := range []string{
		`SET default_transaction_read_only = off`,
		`ALTER DATABASE ` + name + ` RESET default_transaction_read_only`,
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CheckWrite(t.Context()); err != nil {
		t.Errorf("in a database that is not read-only any more: %v", err)
	}
}

// The check fails while a table that posts or sign-ins need is locked, and names the table.
func TestCheckOfLockedTables(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	s := db.Open(t, nil)
	conn := storetest.Connect(t, db.URL)
	for _, lock := range []string{
		"machines", "snapshots", "users", "tokens", "sessions", "process_samples", "process_samples IN SHARE MODE",
	} {
		table, _, _ := strings.Cut(lock, " ")
		transaction, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := transaction.Exec(t.Context(), `LOCK TABLE `+lock); err != nil {
			t.Fatal(err)
		}
		err = s.CheckWrite(t.Context())
		if err == nil || !strings.Contains(err.Error(), "the table "+table+" is locked or does not answer") {
			t.Errorf("with a lock of %s: %v", lock, err)
		}
		if err := transaction.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.CheckWrite(t.Context()); err != nil {
			t.Errorf("without the lock of %s: %v", lock, err)
		}
	}
}

// The check passes with each storage profile.
func TestCheckWriteOfEachProfile(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		if err := db.Open(t, nil).CheckWrite(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestCheckRollups(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	s := db.Open(t, nil)
	if err := errors.Join(s.MaintainOnce(t.Context()), s.CheckRollups(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := storetest.Connect(t, db.URL).Exec(t.Context(), `INSERT INTO machines (machine_id, registered_at, last_seen)
		VALUES ('m', now(), now())`); err != nil {
		t.Fatal(err)
	}
	if _, err := storetest.Connect(t, db.URL).Exec(t.Context(), `INSERT INTO rollup_marks (machine, bucket, level, claimed)
		SELECT id, date_bin('1 hour', now() - interval '6 hours', '2000-01-01 00:00:00+00'), 1, false FROM machines`); err != nil {
		t.Fatal(err)
	}
	if _, err := storetest.ConnectAdmin(t, db).Exec(t.Context(), `ALTER TABLE machine_1h_done RENAME TO gone`); err != nil {
		t.Fatal(err)
	}
	if err := s.MaintainOnce(t.Context()); err == nil {
		t.Error("rollups were computed without their table")
	}
	if err := s.CheckRollups(t.Context()); err == nil || !strings.Contains(err.Error(), "rollups") {
		t.Errorf("%v", err)
	}
}
