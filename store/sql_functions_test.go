package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// The SQL functions take the ID or the host name of a machine, and refuse one that is unknown or ambiguous.
func TestMachineOfSQLFunctions(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		for seed, machineID := range []string{"fn-1", "fn-2", "fn-3"} {
			series := snapshottest.NewMachine(uint64(seed), 3+seed).Series(storetest.Recent(), 2, 5*time.Second, 2)
			storetest.Write(t, s, machineID, series.Snapshots...)
		}
		conn := storetest.Connect(t, db.URL)
		if _, err := conn.Exec(t.Context(), `UPDATE machines SET hostname = CASE machine_id WHEN 'fn-1' THEN 'fn-2' ELSE 'fn-twin' END
			WHERE machine_id IN ('fn-1', 'fn-2', 'fn-3')`); err != nil {
			t.Fatal(err)
		}
		for _, function := range []string{"process_at($1, now())", "process_top($1, now() - interval '1 day', now())"} {
			for machine, want := range map[string]string{
				"fn-1":    "",
				"fn-2":    "", // an ID comes before the same host name of another machine
				"fn-twin": "2 machines have the host name 'fn-twin' (Use the ID of one of them: fn-2, fn-3.)",
				"nobody":  "no machine has the ID or the host name 'nobody'",
			} {
				var rows int
				err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+function, machine).Scan(&rows)
				got := ""
				if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
					got = refused.Message
					if refused.Hint != "" {
						got += " (" + refused.Hint + ")"
					}
				} else if err != nil {
					t.Fatal(err)
				}
				if got != want {
					t.Errorf("%s of %s: %q, want %q", function, machine, got, want)
				}
				if strings.HasPrefix(function, "process_at") && machine == "fn-2" && rows != 4 {
					t.Errorf("process_at('fn-2') has %d rows, want the 4 of the machine with that ID", rows)
				}
			}
		}
	})
}
