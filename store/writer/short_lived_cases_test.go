package writer_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// wantTexts checks the texts that a query returns.
func wantTexts(t *testing.T, db storetest.Database, want []string, query string) {
	t.Helper()
	rows, err := storetest.Connect(t, db.URL).Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || !slices.Equal(got, want) {
		t.Errorf("stored %q (%v), want %q", got, err, want)
	}
}

// Two command lines are stored as they are, although XXH64 has the same value for them. Everyone can find such pairs,
// so the hash of texts has a secret key.
func TestTextsWithOneHash(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		lines := []string{
			"sh -c true &m# .................... :e`;ONfqh:.................... ....",
			"sh -c rm -rf # .................... :UW>vu#&U:.................... ....",
		}
		one := shell(storetest.Recent(), len(lines), "")
		for i := range lines {
			one.Processes[i].CommandLine = lines[i]
		}
		storetest.Write(t, s, "one-hash", one)
		wantTexts(t, db, lines, `SELECT command_line FROM short_lived_history
			WHERE machine_id = 'one-hash' ORDER BY pid`)
	})
}

// A process that execs a program whose command line has the same XXH64 as the one before has both.
func TestIdentitiesWithOneHash(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		lines := []string{
			":;true#n6........................yDzEvPjD........................",
			":;rm x#Il........................G/t^$xZE........................",
		}
		for i, line := range lines {
			at := storetest.Recent().Add(time.Duration(i) * time.Second)
			storetest.Write(t, s, "identities", snapshot.Snapshot{
				Timestamp: at, Kind: snapshot.KindFull, IntervalMS: 1000,
				Processes: []snapshot.ProcessSample{{
					PID: 7, PPID: new(int32(1)), StartedAt: 1, Name: "sh", User: "root", CommandLine: line, State: "S",
					CPUTime: new(snapshot.CPUTime(1000)), Threads: new(int32(1)),
				}},
			})
		}
		wantTexts(t, db, lines, `SELECT p.command_line FROM process_samples s
			JOIN processes p ON p.id = s.process JOIN machines m ON m.id = s.machine
			WHERE m.machine_id = 'identities' ORDER BY s.ts`)
	})
}

// The sums of CPU times that are too large for a bigint are the largest one.
func TestHugeCPUTimesOfShortLived(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		huge := shell(storetest.Recent(), 2500, "huge")
		huge.IntervalMS = 86_400_000
		for i := range huge.Processes {
			huge.Processes[i].CPUTime = new(snapshot.CPUTime(5_000_000_000_000_000))
		}
		storetest.Write(t, s, "huge-cpu", huge)
		var ofSnapshot, ofMinute int64
		if err := storetest.Connect(t, db.URL).QueryRow(t.Context(), `SELECT s.short_lived_cpu_us, m.cpu_us
			FROM machines k JOIN snapshots s ON s.machine = k.id JOIN short_lived_1m m ON m.machine = k.id
			WHERE k.machine_id = 'huge-cpu'`).Scan(&ofSnapshot, &ofMinute); err != nil {
			t.Fatal(err)
		}
		if ofSnapshot != math.MaxInt64 || ofMinute != math.MaxInt64 {
			t.Errorf("%d in the snapshot and %d in the minute, want the largest bigint", ofSnapshot, ofMinute)
		}
	})
}
