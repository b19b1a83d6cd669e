package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A disk budget also frees the texts of the short-lived processes that it drops. Otherwise it would drop the days of
// all machines for the sake of one with long command lines.
func TestTextsUnderABudget(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		real := time.Now()
		now := real.Add(-3 * day)
		s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
		conn := storetest.Connect(t, db.URL)
		write := func(from int) {
			at := snapshot.TimeOf(now).Add(-time.Minute)
			one := snapshot.Snapshot{Timestamp: at, Kind: snapshot.KindFull, IntervalMS: 5000}
			for i := range 20 {
				one.Processes = append(one.Processes, snapshot.ProcessSample{
					PID: int32(from + i), StartedAt: at - 100, PPID: new(int32(1)), Name: "sh",
					State:       snapshot.StateEnded,
					CommandLine: fmt.Sprintf("sh -c %s n%d", strings.Repeat("long ", 600), from+i),
				})
			}
			storetest.Write(t, s, "long", one)
		}
		write(100)
		now = real
		write(200)
		keep := s.Retention()
		keep.BudgetBytes = 1
		setRetention(t, s, keep)
		maintain(t, s)
		var rows, texts, unknown int
		if err := conn.QueryRow(t.Context(), `SELECT count(*), (SELECT count(*) FROM commands),
				count(*) FILTER (WHERE c.id IS NULL)
			FROM short_lived s LEFT JOIN commands c ON c.id = s.command`).Scan(&rows, &texts, &unknown); err != nil {
			t.Fatal(err)
		}
		if rows != 20 || texts != 20 || unknown != 0 {
			t.Errorf("%d processes, %d texts, %d without a text; want those of today", rows, texts, unknown)
		}
	})
}
