package writer_test

import (
	"maps"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// exitOf returns a status as a text for comparisons.
func exitOf(e snapshot.ExitStatus) [2]int {
	value := func(n *int16) int {
		if n == nil {
			return -1
		}
		return int(*n)
	}
	return [2]int{value(e.ExitCode), value(e.ExitSignal)}
}

// exitsOf returns the stored statuses of a machine's processes by name. Each process has a name of its own.
func exitsOf(t *testing.T, db storetest.Database, machineID string) map[string][2]int {
	t.Helper()
	rows, err := storetest.Connect(t, db.URL).Query(t.Context(), `SELECT p.name, p.exit_code, p.exit_signal
		FROM history.processes p JOIN machines m ON m.id = p.machine WHERE m.machine_id = $1`, machineID)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][2]int)
	for rows.Next() {
		var name string
		var exit snapshot.ExitStatus
		if err := rows.Scan(&name, &exit.ExitCode, &exit.ExitSignal); err != nil {
			t.Fatal(err)
		}
		if _, twice := found[name]; twice {
			t.Fatalf("%s has two rows", name)
		}
		found[name] = exitOf(exit)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// An exit status is stored with the identity with which the process ended, once, also if it arrives late.
func TestExitStatuses(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testExitStatuses)
}

func testExitStatuses(t *testing.T, db storetest.Database) {
	const unknown, code3, killed = -1, 3, 9
	at := func(seconds int64) snapshot.Time { return storetest.Recent().Add(time.Duration(seconds) * time.Second) }
	parent := int32(1)
	running := func(pid int32, name string) snapshot.ProcessSample {
		return snapshot.ProcessSample{
			PID: pid, StartedAt: at(-100), PPID: &parent, Name: name, State: "S", CPUTime: new(snapshot.CPUTime(5000)),
		}
	}
	// ended is the last sample of a process that the snapshots before have.
	ended := func(pid int32, waitStatus uint32) snapshot.ProcessSample {
		return snapshot.ProcessSample{
			PID: pid, StartedAt: at(-100), State: snapshot.StateEnded, ExitStatus: snapshot.ExitStatusOf(waitStatus),
		}
	}
	alone := func(pid int32, name string, waitStatus uint32) snapshot.ProcessSample {
		one := running(pid, name)
		one.State, one.ExitStatus = snapshot.StateEnded, snapshot.ExitStatusOf(waitStatus)
		return one
	}
	full := func(seconds int64, processes ...snapshot.ProcessSample) snapshot.Snapshot {
		return snapshot.Snapshot{
			Timestamp: at(seconds), Kind: snapshot.KindFull, IntervalMS: 5000, Processes: processes,
		}
	}
	changes := func(seconds int64, processes ...snapshot.ProcessSample) snapshot.Snapshot {
		return snapshot.Snapshot{
			Timestamp: at(seconds), Kind: snapshot.KindChanges, IntervalMS: 5000, Processes: processes,
		}
	}
	wordless := ended(6, 0)
	wordless.ExitStatus = snapshot.ExitStatus{}
	series := []snapshot.Snapshot{
		full(0, running(2, "code"), running(3, "killed"), running(4, "shell"), running(5, "lives"),
			running(6, "wordless"), running(7, "silent")),
		changes(5, running(4, "program")), // calls exec
		{
			Timestamp: at(10), Kind: snapshot.KindChanges, IntervalMS: 5000,
			Processes: []snapshot.ProcessSample{
				ended(2, code3<<8), ended(3, killed|0x80), ended(4, 0), wordless, alone(9, "short", code3<<8),
			},
			Exited: []snapshot.ProcessKey{{PID: 7, StartedAt: at(-100)}},
		},
		full(15, running(5, "lives"), alone(10, "short-in-full", killed)),
	}
	want := map[string][2]int{
		"code": {code3, unknown}, "killed": {unknown, killed}, "shell": {unknown, unknown}, "program": {0, unknown},
		"lives": {unknown, unknown}, "wordless": {unknown, unknown}, "silent": {unknown, unknown},
		"short": {code3, unknown}, "short-in-full": {unknown, killed},
	}
	for name, batches := range map[string][][]snapshot.Snapshot{
		"at-once":    {series},
		"one-by-one": {series[:1], series[1:2], series[2:3], series[3:]},
		"twice":      {series, series, series[1:3]},
		// The end is stored after a later snapshot. The run is continued by another store, from the database.
		"late": {series[3:], series[:2], series[2:3]},
	} {
		t.Run(name, func(t *testing.T) {
			for _, batch := range batches {
				storetest.Write(t, db.Open(t, nil), "exits-"+name, batch...)
			}
			if got := exitsOf(t, db, "exits-"+name); !maps.Equal(got, want) {
				t.Errorf("stored %v, want %v", got, want)
			}
		})
	}
	t.Run("a later duplicate changes nothing", func(t *testing.T) {
		other := series[2]
		other.Processes = []snapshot.ProcessSample{ended(2, 7<<8)}
		if ack := storetest.Write(t, db.Open(t, nil), "exits-twice", other); ack.Duplicates != 1 {
			t.Fatalf("%+v", ack)
		}
		if got := exitsOf(t, db, "exits-twice"); !maps.Equal(got, want) {
			t.Errorf("stored %v, want %v", got, want)
		}
	})
	t.Run("a process ends in the first snapshot of the next hour", func(t *testing.T) {
		s := db.Open(t, nil)
		hour := snapshot.TimeOf(storetest.Recent().Std().Truncate(time.Hour))
		before := snapshot.Snapshot{
			Timestamp: hour, Kind: snapshot.KindFull, Processes: []snapshot.ProcessSample{running(2, "code")},
		}
		storetest.Write(t, s, "exits-hour", before)
		storetest.Write(t, s, "exits-hour", changes(4, ended(2, code3<<8)))
		if got := exitsOf(t, db, "exits-hour"); got["code"] != want["code"] {
			t.Errorf("stored %v", got)
		}
	})
}

// The exit statuses of simulated machines are stored, whatever the size of the batches.
func TestExitStatusesOfASeries(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testExitStatusesOfASeries)
}

func testExitStatusesOfASeries(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	conn := storetest.Connect(t, db.URL)
	for size := range 4 {
		machine := snapshottest.NewMachine(uint64(20+size), 30)
		machine.ReportEnded, machine.Churn = true, 0.2
		series := machine.Series(storetest.Recent(), 24, time.Second, 8)
		machineID := "exits-series-" + string(rune('a'+size))
		for rest := series.Snapshots; len(rest) > 0; {
			n := min(len(rest), 1+3*size)
			storetest.Write(t, s, machineID, rest[:n]...)
			rest = rest[n:]
		}
		want := make(map[snapshot.ProcessKey][2]int)
		for _, list := range series.Ended {
			for _, p := range list {
				if p.Exit.HasExitStatus() {
					want[p.ProcessKey] = exitOf(p.Exit)
				}
			}
		}
		rows, err := conn.Query(t.Context(), `SELECT p.pid, p.started_at, p.exit_code, p.exit_signal
			FROM (SELECT machine, pid, started_at, exit_code, exit_signal FROM processes
				UNION ALL SELECT machine, pid, started_at, exit_code, exit_signal FROM short_lived) p
				JOIN machines m ON m.id = p.machine
			WHERE m.machine_id = $1 AND (p.exit_code IS NOT NULL OR p.exit_signal IS NOT NULL)`, machineID)
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[snapshot.ProcessKey][2]int)
		for rows.Next() {
			var key snapshot.ProcessKey
			var started time.Time
			var exit snapshot.ExitStatus
			if err := rows.Scan(&key.PID, &started, &exit.ExitCode, &exit.ExitSignal); err != nil {
				t.Fatal(err)
			}
			key.StartedAt = snapshot.TimeOf(started)
			got[key] = exitOf(exit)
		}
		if err := rows.Err(); err != nil || len(want) == 0 || !maps.Equal(got, want) {
			t.Errorf("batches of %d: stored %d statuses, want %d (%v)", 1+3*size, len(got), len(want), err)
		}
	}
}
