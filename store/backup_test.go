package store_test

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A database that was dumped with pg_dump and restored with pg_restore, as in docs/backup.md, returns the same
// data and accepts more. These programs do not work with PGlite, so the timescale profile is only tested if
// there is a server for it (see storetest).
func TestBackup(t *testing.T) {
	t.Parallel()
	t.Run(backend.Postgres, func(t *testing.T) {
		t.Parallel()
		from := storetest.Postgres(t)
		testBackup(t, from, storetest.Database{URL: storetest.EmptyURL(t), Detection: from.Detection})
	})
	if from, to, ok := storetest.NativeTimescale(t); ok {
		t.Run(backend.Timescale, func(t *testing.T) {
			t.Parallel()
			testBackup(t, from, to)
		})
	}
}

func testBackup(t *testing.T, from, to storetest.Database) {
	s := from.Open(t, nil)
	series := snapshottest.NewMachine(1, 20).Series(storetest.Recent().Add(-72*time.Hour), 120, 5*time.Second, 12)
	storetest.Write(t, s, "m", series.Snapshots[:119]...)
	storetest.RefreshAll(t, from, s)
	if from.Detection.Profile == backend.Timescale {
		storetest.CompressAll(t, storetest.Connect(t, from.URL))
	}
	file := filepath.Join(t.TempDir(), "snapwatch.dump")
	program(t, "pg_dump", "--format=custom", "--file="+file, from.URL)
	conn := storetest.Connect(t, to.URL)
	if to.Detection.Profile == backend.Timescale {
		if _, err := conn.Exec(t.Context(), `SELECT timescaledb_pre_restore()`); err != nil {
			t.Fatal(err)
		}
	}
	program(t, "pg_restore", "--no-owner", "--exit-on-error", "--dbname="+to.URL, file)
	if to.Detection.Profile == backend.Timescale {
		if _, err := conn.Exec(t.Context(), `SELECT timescaledb_post_restore()`); err != nil {
			t.Fatal(err)
		}
	}

	// As the server does at its start.
	if _, err := store.Migrate(t.Context(), to.URL, "auto", storetest.Logger()); err != nil {
		t.Fatal(err)
	}
	again := to.Open(t, nil)
	for _, i := range []int{0, 13, 118} {
		state, err := again.At(t.Context(), "m", series.Snapshots[i].Timestamp, true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := snapshottest.Diff(state.Processes, series.Expected[i]); diff != "" {
			t.Errorf("instant %d: %s", i, diff)
		}
	}
	storetest.Write(t, again, "m", series.Snapshots[119]) // changes, which rest on what was restored
	if err := again.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.RefreshAll(t, to, again)
	for relation, width := range processRollups {
		compareRollups(t, relation, readRollups(t, conn, relation, "m"), expectedRollups(series, width))
	}
}

func program(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}
