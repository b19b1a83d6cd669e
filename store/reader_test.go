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

// Grafana's role reads the history in every form, and neither changes it nor reads
// anything else.
func TestReader(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		write(t, s, "m", snapshottest.NewMachine(1, 10).Sparse(recent(), 10, 5*time.Second, 3).Snapshots...)
		if err := s.MaintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.GrantReader(t.Context(), "nobody_of_that_name"); !errors.Is(err, store.ErrNoRole) {
			t.Errorf("a missing role: %v", err)
		}
		role := storetest.Role(t, db)
		for range 2 { // at each start
			if err := s.GrantReader(t.Context(), role); err != nil {
				t.Fatal(err)
			}
		}
		conn := storetest.ConnectAdmin(t, db)
		as := func(statement string) error {
			return pgx.BeginFunc(context.Background(), conn, func(tx pgx.Tx) error {
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
			`SELECT * FROM process_history`, `SELECT * FROM machine_history`, `SELECT * FROM process_at('m', now())`, `SELECT * FROM process_top('m', now() - interval '1 day', now())`,
		} {
			if err := as(statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
		for _, statement := range []string{
			`DELETE FROM machines`, `INSERT INTO settings (key, value) VALUES ('a', '1')`, `UPDATE snapshots SET cpu_usage = 0`, `TRUNCATE processes`, `DROP VIEW process_history`,
			`SELECT * FROM settings`, `SELECT * FROM schema_migrations`, `CREATE TABLE mine (a integer)`,
		} {
			if err := as(statement); err == nil {
				t.Errorf("the reader may: %s", statement)
			}
		}
	})
}
