package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// Days are those of UTC in a session with any time zone, also on a day with 25 hours. Grafana and psql have such
// sessions.
func TestDaysInTimeZoneOfSession(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		now := time.Date(2026, 10, 26, 12, 0, 0, 0, time.UTC) // Berlin's clocks were set back the day before
		s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
		for i, before := range []time.Duration{24 * time.Hour, 11*time.Hour + 30*time.Minute} {
			ppid, memory := int32(0), int64(1000*(i+1))
			storetest.Write(t, s, "m", snapshot.Snapshot{
				Timestamp: snapshot.TimeOf(now.Add(30*time.Second - before)), Kind: snapshot.KindFull, IntervalMS: 5000,
				Processes: []snapshot.ProcessSample{{PID: 1, PPID: &ppid, Name: "init", MemoryUsage: &memory}},
			})
		}
		conn := storetest.ConnectAdmin(t, db)
		if _, err := conn.Exec(t.Context(), "SET timezone = 'Europe/Berlin'"); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct{ column, relation, want string }{
			{"samples", "public.machine_1d", "{1,1}"},
			{"samples", "history.machine_1d", "{1,1}"},
			{"memory_max", "public.process_1d", "{1000,2000}"},
			{"memory_max", "history.process_1d", "{1000,2000}"},
		} {
			var got string
			query := "SELECT array_agg(" + test.column + " ORDER BY bucket)::text FROM " + test.relation
			if err := conn.QueryRow(t.Context(), query).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("%s of %s: %s, want %s", test.column, test.relation, got, test.want)
			}
		}
	})
}

// The views and functions return the same values in a session with other settings, such as one of Grafana.
func TestViewsInSessionWithOtherSettings(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		start := storetest.Recent()
		series := snapshottest.NewMachine(1, 10).Series(start, 20, 30*time.Second, 5)
		storetest.Write(t, s, "m", series.Snapshots...)
		conn := storetest.ConnectAdmin(t, db)
		read := func(query string) string {
			t.Helper()
			rows, err := conn.Query(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			var all []any
			for rows.Next() {
				values, err := rows.Values()
				if err != nil {
					t.Fatal(err)
				}
				for _, value := range values {
					if at, ok := value.(time.Time); ok {
						value = at.UnixMilli()
					}
					all = append(all, value)
				}
			}
			if rows.Err() != nil || len(all) == 0 {
				t.Errorf("%s: %d values, %v", query, len(all), rows.Err())
			}
			return fmt.Sprint(all)
		}
		until := "'" + start.Add(10*time.Minute).String() + "'"
		queries := []string{
			"SELECT * FROM history.process_at('m', " + until + ")",
			"SELECT * FROM history.process_top('m', timestamptz " + until + " - interval '1 hour', " + until + ")",
		}
		for _, view := range []string{
			"machine_1m", "machine_1h", "machine_3h", "machine_1d", "process_1h", "process_3h", "process_1d",
			"machine_history", "process_history",
		} {
			queries = append(queries, "SELECT * FROM history."+view+" ORDER BY bucket, 1, 2, 3")
		}
		usual := make(map[string]string)
		for _, query := range queries {
			usual[query] = read(query)
		}
		for name, value := range unusualSettings {
			if _, err := conn.Exec(t.Context(), "SET "+name+" = '"+value+"'"); err != nil {
				t.Fatal(err)
			}
		}
		for _, query := range queries {
			if got := read(query); got != usual[query] {
				t.Errorf("%s:\n%s\nusually:\n%s", query, got, usual[query])
			}
		}
	})
}
