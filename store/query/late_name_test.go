package query_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// testNameOfLateData: while late data is in the rollup of processes but not yet in those of the machine, a process at
// one core is still shown at one core.
func testNameOfLateData(t *testing.T, s *store.Store, conn *pgx.Conn, db storetest.Database, h history) {
	hour := snapshot.TimeOf(h.begin.Std().Truncate(time.Hour).Add(2 * time.Hour))
	series := func(from, to int) (list []snapshot.Snapshot) {
		for second := from; second <= to; second += 5 {
			list = append(list, full(hour.Add(time.Duration(second)*time.Second), 5*time.Second,
				entry(5, "late-burn", 5000, 1<<20)))
		}
		return list
	}
	refresh := func(relations ...string) {
		t.Helper()
		for _, relation := range relations {
			if db.Detection.Profile != backend.Timescale {
				continue
			}
			if _, err := conn.Exec(t.Context(), fmt.Sprintf(`CALL refresh_continuous_aggregate('%s_cagg', '%s', '%s')`,
				relation, hour.Add(-time.Hour), hour.Add(2*time.Hour))); err != nil {
				t.Fatal(err)
			}
		}
	}
	storetest.Write(t, s, "late-name", series(5, 1200)...)
	refresh("machine_1m", "machine_1h", "process_1h")
	storetest.Write(t, s, "late-name", series(1205, 3600)...)
	refresh("process_1h")
	for resolution, length := range map[query.Resolution]int{query.ResolutionHour: 1, query.ResolutionMinute: 60} {
		history, err := s.NameHistory(
			t.Context(), query.AllMachines(), "late-name", "late-burn", hour, hour.Add(time.Hour), resolution, 100)
		points := history.Points
		if err != nil || len(points) != length {
			t.Fatalf("%s: %+v, %v", resolution, points, err)
		}
		for _, p := range points {
			if msOf(p.CPUTime) != resolution.Width().Milliseconds() || msOf(p.CPUTime) != p.ElapsedMS ||
				deref(p.RunningAvg) != 1 {
				t.Errorf("%s from %s: %d ms of CPU in %d ms, %v processes at once",
					resolution, p.Timestamp, msOf(p.CPUTime), p.ElapsedMS, deref(p.RunningAvg))
			}
		}
	}
	text, err := os.ReadFile("../../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("SELECT n.bucket, m.machine_id,[^;]*AS cpu_percent[^;]*").Find(text)
	var at time.Time
	var machineID string
	var percent, running float64
	err = conn.QueryRow(t.Context(), strings.ReplaceAll(string(example), "'postgres'", "'late-burn'")).
		Scan(&at, &machineID, &percent, &running)
	if err != nil || percent != 100 || running != 1 {
		t.Errorf("the example has %v %% and %v processes at once (%v), want 100 and 1", percent, running, err)
	}
}
