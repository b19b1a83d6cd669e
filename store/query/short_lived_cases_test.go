package query_test

import (
	"fmt"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// Searches compare command lines, and not the templates that they are stored as. Top lists do not depend on how the
// session shows times.
func TestShortLivedCases(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		at := storetest.Recent()
		one := snapshot.Snapshot{Timestamp: at, Kind: snapshot.KindFull, IntervalMS: 5000}
		for i, line := range []string{"cc -c /tmp/ccAbCd.o", "date +%12345"} {
			one.Processes = append(one.Processes, snapshot.ProcessSample{
				PID: int32(1000 + i), StartedAt: at - 100, PPID: new(int32(1)), Name: "xx", CommandLine: line,
				State: snapshot.StateEnded, CPUTime: new(snapshot.CPUTime(1000)),
			})
		}
		storetest.Write(t, s, "cases", one)
		for text, want := range map[string]int{
			"s.o": 0, "s": 0, "S": 0, "%s": 0, "%%": 0, "tmp/s": 0, "*s.o": 0,
			"cAbCd.o": 1, "%1": 1, "%12345": 1, "/cc": 1, "c": 1, "*cd.o": 1, "*%12345": 1, "d": 2,
		} {
			for _, match := range []query.Match{{Text: text}, {Command: text}} {
				found, err := s.FleetWindow(t.Context(), match, at-5000, at+5000,
					query.FleetPage{View: query.AllMachines(), Limit: 10})
				if err != nil || len(found.Usages) != want {
					t.Errorf("%+v: %+v, %v, want %d", match, found.Usages, err, want)
				}
				before, _, err := s.Nearest(t.Context(), match, at+5000, at+5000, query.AllMachines())
				if err != nil || (before != nil) != (want > 0) {
					t.Errorf("nearest %+v: %+v, %v, want %d", match, before, err, want)
				}
			}
		}
		conn := storetest.Connect(t, db.URL)
		for _, style := range []string{"ISO, MDY", "SQL, DMY", "German"} {
			if _, err := conn.Exec(t.Context(), fmt.Sprintf(`SET TimeZone = 'Asia/Shanghai'; SET DateStyle = '%s'`,
				style)); err != nil {
				t.Fatal(err)
			}
			var n int
			err := conn.QueryRow(t.Context(), `SELECT count(*) FROM process_top('cases', $1, $2)`,
				(at - 10_000).Std(), (at + 10_000).Std()).Scan(&n)
			if err != nil || n != 2 {
				t.Errorf("with the date style %s: %d processes, %v", style, n, err)
			}
		}
	})
}
