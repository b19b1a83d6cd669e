package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// The reader's role can read all views, and can neither change anything nor read other tables.
func TestReader(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		storetest.Write(
			t,
			s,
			"m",
			snapshottest.NewMachine(1, 10).Series(storetest.Recent(), 10, 5*time.Second, 3).Snapshots...)
		if err := s.MaintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.GrantReader(t.Context(), "nobody_of_that_name"); !errors.Is(err, store.ErrNoRole) {
			t.Errorf("a missing role: %v", err)
		}
		role := storetest.Role(t, db)
		for range 2 { // at each start
			if ahead, err := s.GrantReader(t.Context(), role); err != nil || ahead {
				t.Fatal(ahead, err)
			}
		}
		conn := storetest.ConnectAdmin(t, db)
		if _, err := conn.Exec(t.Context(), "ALTER ROLE "+role+" SET search_path = history, public"); err != nil {
			t.Fatal(err)
		}
		if ahead, err := s.GrantReader(t.Context(), role); err != nil || !ahead {
			t.Fatal(ahead, err)
		}
		as := func(statement string) error {
			return pgx.BeginFunc(context.Background(), conn, func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), "SET LOCAL search_path = history, public"); err != nil {
					t.Fatal(err)
				}
				if _, err := tx.Exec(t.Context(), "SET LOCAL ROLE "+role); err != nil {
					t.Fatal(err)
				}
				_, err := tx.Exec(t.Context(), statement)
				return err
			})
		}
		for _, statement := range []string{
			`SELECT * FROM machines`, `SELECT * FROM processes`, `SELECT * FROM snapshots`, `SELECT * FROM process_samples`, `SELECT * FROM disk_samples`, `SELECT * FROM net_samples`,
			`SELECT * FROM machine_1m`, `SELECT * FROM machine_1h`, `SELECT * FROM machine_3h`, `SELECT * FROM machine_1d`,
			`SELECT * FROM process_1h`, `SELECT * FROM process_3h`, `SELECT * FROM process_1d`,
			`SELECT * FROM short_lived_1m`, `SELECT * FROM short_lived_1h`, `SELECT * FROM short_lived_1d`, `SELECT * FROM owners`,
			`SELECT * FROM name_1h`, `SELECT * FROM name_3h`, `SELECT * FROM name_1d`, `SELECT * FROM short_lived_history`,
			`SELECT * FROM process_history`, `SELECT * FROM machine_history`, `SELECT * FROM process_at('m', now())`, `SELECT * FROM process_top('m', now() - interval '1 day', now())`,
		} {
			if err := as(statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
		for _, statement := range []string{
			`DELETE FROM machines`, `INSERT INTO settings (key, value) VALUES ('a', '1')`, `UPDATE snapshots SET cpu_usage = 0`, `TRUNCATE processes`, `DROP VIEW process_history`,
			`SELECT * FROM settings`, `SELECT * FROM public.machines`, `SELECT * FROM public.snapshots`, `SELECT * FROM public.process_1h`,
			`SELECT * FROM users`, `SELECT * FROM sessions`, `SELECT * FROM tokens`, `SELECT * FROM enrolment_keys`, `SELECT * FROM audit_log`, `SELECT * FROM public.users`, `SELECT * FROM schema_migrations`, `CREATE TABLE mine (a integer)`,
		} {
			if err := as(statement); err == nil {
				t.Errorf("the reader is allowed to: %s", statement)
			}
		}
		// A function with the privileges of its owner uses the owner's tables, not temporary ones of its
		// caller.
		err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			for _, statement := range []string{"SET LOCAL ROLE " + role, `SET LOCAL search_path = history, public`,
				`CREATE TEMP TABLE machines (id integer, machine_id text, hostname text) ON COMMIT DROP`, `INSERT INTO pg_temp.machines VALUES (1, 'made up', '')`} {
				if _, err := tx.Exec(t.Context(), statement); err != nil {
					return err
				}
			}
			var rows int
			err := tx.QueryRow(t.Context(), `SELECT count(*) FROM history.process_at('m', now())`).Scan(&rows)
			if err != nil || rows == 0 {
				t.Errorf("%d rows, want those of the owner's table (%v)", rows, err)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
