package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A server stores the processes of a machine that was silent for long, although it has cached their rows and another
// server has deleted these in the meantime.
func TestCachedProcessesThatAnotherServerDeleted(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	var mu sync.Mutex
	now := storetest.Recent().Std().Add(-20 * day)
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	open := func() *store.Store { return db.Open(t, func(c *store.Config) { c.Now = clock }) }
	first, second := open(), open()
	machine := snapshottest.NewMachine(1, 20)
	machine.Churn = 0
	before := machine.Series(snapshot.TimeOf(now), 3, time.Second, 10).Snapshots
	storetest.Write(t, first, "m", before...)

	mu.Lock()
	now = now.Add(20 * day)
	mu.Unlock()
	if err := second.SetRetention(t.Context(), backend.Retention{
		RawDays: 1, MinuteDays: 1, HourDays: 1, ThreeHoursDays: 1, DayDays: 1, ExitsDays: 1,
	}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first round computes rollups, which refer to the processes
		if err := second.MaintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	conn := storetest.Connect(t, db.URL)
	var left int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM processes`).Scan(&left); err != nil || left != 0 {
		t.Fatalf("%d processes are left: %v", left, err)
	}
	after := machine.Series(snapshot.TimeOf(now), 3, time.Second, 10).Snapshots
	storetest.Write(t, first, "m", after...)
	state, err := first.At(t.Context(), "m", after[2].Timestamp, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Processes) != 20 {
		t.Errorf("the last snapshot has %d processes, want 20", len(state.Processes))
	}
	var dangling int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM process_samples s
		WHERE NOT EXISTS (SELECT FROM processes p WHERE p.id = s.process)`).Scan(&dangling); err != nil || dangling != 0 {
		t.Errorf("%d samples refer to deleted processes: %v", dangling, err)
	}
}

// A server does not use the rows of a machine that another server has deleted, although it has cached them.
func TestMachineThatAnotherServerDeleted(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	first, second := db.Open(t, nil), db.Open(t, nil)
	machine := snapshottest.NewMachine(1, 20)
	series := machine.Series(storetest.Recent(), 4, time.Second, 10).Snapshots
	storetest.Write(t, first, "m", series[:2]...)
	writeScripts(t, first, "scripts", 0, 30)
	for _, machineID := range []string{"m", "scripts"} {
		if err := second.Delete(t.Context(), machineID); err != nil {
			t.Fatal(err)
		}
	}
	if err := second.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The agent does not know that its machine was deleted, and continues its run.
	outcome := first.Write(t.Context(), []*snapshot.Batch{{MachineID: "m", Snapshots: series[2:]}})[0]
	if invalid, ok := errors.AsType[*snapshot.ValidationError](outcome.Err); !ok ||
		invalid.Code != snapshot.CodeFullNeeded {
		t.Errorf("changes of a deleted machine: %+v", outcome)
	}
	full := machine.Series(series[3].Timestamp.Add(time.Second), 1, time.Second, 1).Snapshots
	storetest.Write(t, first, "m", full...)
	writeScripts(t, first, "scripts", 0, 30)
	state, err := second.At(t.Context(), "m", full[0].Timestamp, true)
	if err != nil || len(state.Processes) == 0 {
		t.Errorf("%v, %v", state, err)
	}
	conn := storetest.Connect(t, db.URL)
	var scripts, dangling int
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM short_lived_history WHERE machine_id = 'scripts'),
		(SELECT count(*) FROM process_samples s WHERE NOT EXISTS (SELECT FROM processes p WHERE p.id = s.process))`,
	).Scan(&scripts, &dangling); err != nil || scripts != 30 ||
		dangling != 0 {
		t.Errorf("%d short-lived processes have texts, want 30; %d samples refer to deleted processes: %v",
			scripts, dangling, err)
	}
}
