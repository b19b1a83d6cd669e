package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A long query delays the compression and the drop of what it reads. It delays neither other readers nor live posts of
// another machine. A late post may be refused for a moment.
func TestLongReaderDelaysMaintenance(t *testing.T) {
	t.Parallel()
	url := storetest.NativeTimescaleURL(t)
	db := storetest.Database{URL: url, Detection: store.Detection{Profile: backend.Timescale}}
	now := time.Now()
	s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
	old := storetest.Recent().Add(-3 * day)
	series := snapshottest.NewMachine(1, 20).Series(old, 60, 10*time.Second, 3)
	storetest.Write(t, s, "m", series.Snapshots...)
	conn := storetest.Connect(t, url)
	compressed := func() (n int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM timescaledb_information.chunks
			WHERE hypertable_name = 'process_samples' AND is_compressed`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	tx, err := storetest.Connect(t, url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT count(*) FROM process_samples`); err != nil {
		t.Fatal(err)
	}
	now = now.Add(4 * time.Hour) // all jobs are overdue
	// Late posts wait for the compression, which waits for the reader.
	stop, late := make(chan struct{}), make(chan error, 1)
	go func() { late <- postLate(t.Context(), s, old.Add(20*time.Minute), stop) }()
	today := snapshot.TimeOf(now.Truncate(time.Second))
	useWhileMaintaining(t, s, series.Snapshots[59].Timestamp, today) // ends although the reader is still there
	close(stop)
	if err := <-late; err != nil {
		t.Errorf("late post: %v", err)
	}
	if n := compressed(); n != 0 {
		t.Errorf("%d chunks were compressed while they were read", n)
	}
	setRetention(t, s, backend.Retention{RawDays: 1, MinuteDays: 30, HourDays: 30, ThreeHoursDays: 30, DayDays: 30})
	maintain(t, s)
	if n := rawDays(t, conn); n != 2 {
		t.Errorf("%d days of samples while they are read, want that and today", n)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	maintain(t, s)
	if n := rawDays(t, conn); n != 1 {
		t.Errorf("%d days of samples after the reader has finished, want today", n)
	}
}

// postLate posts late snapshots of a machine, from a time on, until stop is closed. Like an agent, it retries after a
// lock could not be acquired.
func postLate(ctx context.Context, s *store.Store, at snapshot.Time, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
			err := writeOne(ctx, s, "late", lateSnapshot(at.Std()))
			switch {
			case err == nil:
				at++
			case !backend.IsLockTimeout(err):
				return err
			}
		}
	}
}

// A late post that waits for a chunk does not keep a live post of another machine from being stored.
func TestLatePostDoesNotDelayLivePosts(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		if db.Detection.Profile == backend.Timescale && !storetest.IsNative() {
			t.Skip("PGlite has a single session")
		}
		s := db.Open(t, nil)
		at := storetest.Recent().Add(-3 * day)
		old := snapshottest.NewMachine(1, 5).Series(at, 6, 10*time.Second, 3)
		storetest.Write(t, s, "late", old.Snapshots[:3]...)
		conn := storetest.Connect(t, db.URL)
		table := `process_samples_` + at.Std().UTC().Format("20060102")
		if db.Detection.Profile == backend.Timescale {
			if err := conn.QueryRow(t.Context(), `SELECT show_chunks('process_samples')::text`).Scan(&table); err != nil {
				t.Fatal(err)
			}
		}
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The lock that compression holds while it runs.
		if _, err := tx.Exec(t.Context(), `LOCK TABLE `+table+` IN EXCLUSIVE MODE`); err != nil {
			t.Fatal(err)
		}
		live := snapshottest.NewMachine(2, 5).Series(snapshot.TimeOf(time.Now().Add(-time.Minute)), 1, time.Second, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // ends the test if the late post waits for ever
		defer cancel()
		results := s.Write(ctx, []*snapshot.Batch{
			{MachineID: "late", Snapshots: old.Snapshots[3:]}, {MachineID: "live", Snapshots: live.Snapshots},
		})
		if results[0].Err == nil {
			t.Error("the late post was stored although its chunk is locked")
		}
		if results[1].Err != nil {
			t.Errorf("live post: %v", results[1].Err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		storetest.Write(t, s, "late", old.Snapshots[3:]...) // the agent tries again
	})
}
