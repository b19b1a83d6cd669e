package query_test

import (
	"math"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func storage(t *testing.T, s *store.Store) *query.Storage {
	t.Helper()
	st, err := s.Storage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// rowsOf returns the estimated number of rows of a relation.
func rowsOf(t *testing.T, s *store.Store, relation string) int64 {
	t.Helper()
	for _, size := range storage(t, s).Relations {
		if size.Relation == relation {
			return size.Rows
		}
	}
	t.Fatalf("no size of %s", relation)
	return 0
}

// There is no forecast before there is data of 24 hours, and the oldest data is the first snapshot, not the start of
// its partition.
func TestForecastNeedsADayOfData(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		now := time.Now()
		s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
		keep := s.Retention()
		keep.BudgetBytes = 1 << 40
		if err := s.SetRetention(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
		if st := storage(t, s); st.Oldest != 0 || st.BytesPerDay != nil || st.BudgetDays != nil {
			t.Errorf("without data: %+v", st)
		}
		post := func(machineID string, at snapshot.Time) {
			storetest.Write(t, s, machineID, snapshottest.NewMachine(1, 5).Series(at, 2, time.Second, 2).Snapshots...)
		}
		recent := snapshot.TimeOf(now.Add(-10 * time.Minute))
		post("late", recent)
		if st := storage(t, s); st.Oldest != recent || st.BytesPerDay != nil || st.BudgetDays != nil {
			t.Errorf("with ten minutes of data: oldest %s, want %s; %+v", st.Oldest, recent, st)
		}
		old := snapshot.TimeOf(now.Add(-25 * time.Hour))
		post("early", old)
		if st := storage(t, s); st.Oldest != old || st.BytesPerDay != nil || st.BudgetDays != nil {
			t.Errorf("with ten minutes of data and an old snapshot: %+v", st)
		}
		for hour := range 24 {
			post("early", old.Add(time.Duration(hour)*time.Hour+time.Minute))
		}
		st := storage(t, s)
		if st.Oldest != old || st.BytesPerDay == nil || *st.BytesPerDay <= 0 || st.BudgetDays == nil {
			t.Fatalf("with a day of data: %+v", st)
		}
		var others int64 // what a budget never drops
		var shortLived int64
		for _, size := range st.Relations {
			switch {
			case size.Relation == backend.ShortLived: // none ran
				shortLived = size.Bytes
			case !isSeries(size.Relation):
				others += size.Bytes
			}
		}
		// Nothing is compressed.
		perDay := float64(st.Bytes-others-shortLived) * float64(st.SamplesPerDay) / float64(st.ProcessSamples)
		if want := float64(keep.BudgetBytes-others) / perDay; math.Abs(*st.BudgetDays/want-1) > 0.001 {
			t.Errorf("%f days fit into the budget, want %f", *st.BudgetDays, want)
		}
	})
}

// The samples of the last 24 hours are counted to the millisecond, whatever the time of day.
func TestSamplesOfTheLastDay(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		now := clock(30, 40, 30).Std()
		s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
		since := snapshot.TimeOf(now.Add(-24 * time.Hour))
		var series []snapshot.Snapshot
		for _, ms := range []snapshot.Time{
			-3_600_000, -60_000, 0, 1, 29_999, 30_000, 30_001, 1_140_000, 1_500_000, 86_399_999,
		} {
			series = append(series, full(since+ms, 0, entry(1, "init", 0, 0), entry(5, "sh", 0, 0)))
		}
		storetest.Write(t, s, "day", series...)
		if got := storage(t, s).SamplesPerDay; got != 14 {
			t.Errorf("%d samples, want 14: of two processes in seven snapshots", got)
		}
		storetest.RefreshAll(t, db, s)
		if got := storage(t, s).SamplesPerDay; got != 14 {
			t.Errorf("%d samples after a refresh, want 14", got)
		}
		// The first millisecond after the hours that are rolled up belongs to the next hour.
		hour := snapshot.TimeOf(now.Truncate(time.Hour).Add(time.Hour))
		now = hour.Std().Add(70 * time.Minute)
		storetest.Write(t, s, "day", full(hour+1, time.Second, entry(5, "sh", 700, 0)))
		list, window, err := s.Top(t.Context(), query.UsageQuery{
			MachineID: "day", From: hour.Add(-150 * time.Minute), To: hour.Add(5 * time.Minute), Limit: 1})
		if err != nil || len(list) != 1 || msOf(list[0].CPUTime) != 700 {
			t.Errorf("%+v in %+v, %v, want 700 ms of CPU", list, window, err)
		}
	})
}

func isSeries(relation string) bool {
	for _, one := range backend.Series {
		if one == relation {
			return true
		}
	}
	return false
}

// A disk budget drops raw days, but not their rollups. They are no longer a part of the stored samples.
func TestDroppedDaysAreNotCounted(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		for days := range 4 {
			at := snapshot.TimeOf(time.Now().Add(-time.Duration(days)*24*time.Hour - 10*time.Minute))
			series := snapshottest.NewMachine(1, 20).Series(at, 30, time.Second, 4)
			storetest.Write(t, s, "m", series.Snapshots...)
		}
		storetest.RefreshAll(t, db, s)
		conn := storetest.ConnectAdmin(t, db)
		today := time.Now().UTC().Truncate(24 * time.Hour)
		for _, relation := range backend.Series { // as the budget does
			relation = storetest.TableOf(db.Detection.Profile, relation)
			if db.Detection.Profile == backend.Postgres {
				var partitions []string
				if err := conn.QueryRow(t.Context(), `SELECT array_agg(i.inhrelid::regclass::text) FROM pg_inherits i
					WHERE i.inhparent = $1::text::regclass AND right(i.inhrelid::regclass::text, 8) < $2`,
					relation, today.Format("20060102")).Scan(&partitions); err != nil {
					t.Fatal(err)
				}
				for _, partition := range partitions {
					if _, err := conn.Exec(t.Context(), "DROP TABLE "+partition); err != nil {
						t.Fatal(err)
					}
				}
				continue
			}
			if _, err := conn.Exec(t.Context(), `SELECT drop_chunks($1::text::regclass, $2::timestamptz)`, relation,
				today); err != nil {
				t.Fatal(err)
			}
		}
		var want int64
		if err := conn.QueryRow(t.Context(), `SELECT coalesce(sum(process_count), 0) FROM snapshots`).Scan(&want); err != nil {
			t.Fatal(err)
		}
		if got := storage(t, s).ProcessSamples; got != want {
			t.Errorf("%d process samples are stored, want %d", got, want)
		}
	})
}

// The number of rows is known before the first ANALYZE, and compression does not change it. PostgreSQL in WebAssembly
// does not write the statistics of a session in time, so it needs ANALYZE.
func TestEstimatedRows(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		at := snapshot.TimeOf(time.Now().Add(-time.Hour))
		storetest.Write(t, s, "m", snapshottest.NewMachine(1, 300).Series(at, 20, time.Second, 4).Snapshots...)
		conn := storetest.ConnectAdmin(t, db)
		if db.Detection.Profile == backend.Timescale {
			if _, err := conn.Exec(t.Context(), `ANALYZE`); err != nil {
				t.Fatal(err)
			}
		}
		for _, relation := range []string{"process_samples", "processes"} {
			var want int64
			if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM `+relation).Scan(&want); err != nil {
				t.Fatal(err)
			}
			// The statistics of a session are written with a delay.
			testwait.Until(t, "the rows of "+relation, func() bool { return rowsOf(t, s, relation) == want })
			if db.Detection.Profile == backend.Timescale && relation == "process_samples" {
				storetest.CompressAll(t, conn)
				if got := rowsOf(t, s, relation); got != want {
					t.Errorf("after compression, %s has %d rows, want %d", relation, got, want)
				}
			}
		}
	})
}
