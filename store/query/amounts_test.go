package query_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// Amounts that no machine can reach in the interval are refused. Sums of others do not overflow, however many there
// are.
func TestHugeAmounts(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		t.Run("are refused", func(t *testing.T) { impossibleAmounts(t, s) })
		t.Run("of a day in each second of an hour", func(t *testing.T) { possibleAmounts(t, s) })
		t.Run("of 1,100 processes of one name", func(t *testing.T) { amountsOfAName(t, db, s) })
	})
}

// wantRefused fails the test if the store accepts a snapshot, or if the error does not name the field and the limit.
func wantRefused(t *testing.T, s *store.Store, machineID string, one snapshot.Snapshot, field string) {
	t.Helper()
	outcome := s.Write(context.Background(), []*snapshot.Batch{
		{MachineID: machineID, Snapshots: []snapshot.Snapshot{one}}})[0]
	invalid, ok := errors.AsType[*snapshot.ValidationError](outcome.Err)
	if !ok || invalid.Field != field || invalid.Limit == 0 {
		t.Errorf("%v, want an error about %s", outcome.Err, field)
	}
}

func impossibleAmounts(t *testing.T, s *store.Store) {
	const machineID = "impossible"
	if _, err := s.Register(t.Context(), &snapshot.Machine{MachineID: machineID, CPUCount: 2}); err != nil {
		t.Fatal(err)
	}
	largest := int64(snapshot.MaxSafeInteger)
	percent := entry(5, "postgres", -1, 0)
	percent.CPUUsage = new(200_000.0)
	uses, writes := entry(5, "postgres", largest, 0), entry(5, "postgres", 0, 0)
	writes.WriteBytes = &largest
	disks, interfaces := full(clock(14, 0, 1), time.Second), full(clock(14, 0, 1), time.Second)
	disks.Machine.Disks = []snapshot.Disk{{Mount: "/", ReadBytes: &largest}}
	interfaces.Machine.Interfaces = []snapshot.Interface{{Name: "eth0", SentBytes: &largest}}
	for field, one := range map[string]snapshot.Snapshot{
		"processes[0].cpu_usage":                    full(clock(14, 0, 1), time.Second, percent),
		"processes[0].cpu_ms":                       full(clock(14, 0, 1), time.Second, uses),
		"processes[0].write_bytes":                  full(clock(14, 0, 1), time.Second, writes),
		"machine_snapshot.disks[0].read_bytes":      disks,
		"machine_snapshot.interfaces[0].sent_bytes": interfaces,
	} {
		wantRefused(t, s, machineID, one, "snapshots[0]."+field)
	}
}

func possibleAmounts(t *testing.T, s *store.Store) {
	const machineID = "possible"
	var list []snapshot.Snapshot
	for second := 1; second <= 1100; second++ {
		one := full(clock(14, 0, second), 24*time.Hour, entry(5, "postgres", 1000, 1<<20))
		for disk := range 10 {
			one.Machine.Disks = append(one.Machine.Disks,
				snapshot.Disk{Mount: fmt.Sprint("/", disk), ReadBytes: new(int64(snapshot.MaxSafeInteger))})
		}
		list = append(list, one)
	}
	storetest.Write(t, s, machineID, list[:1000]...)
	storetest.Write(t, s, machineID, list[1000:]...)
	storetest.Write(t, s, machineID+"-other", full(clock(14, 0, 1), time.Second, entry(5, "postgres", 500, 1<<20)))
	if err := s.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, resolution := range []query.Resolution{query.ResolutionMinute, query.ResolutionHour, query.ResolutionDay} {
		chart := chartOf(t, s, machineID, clock(0, 0, 0), clock(24, 0, 0), resolution)
		if len(chart.Timestamps) == 0 ||
			resolution != query.ResolutionMinute && deref(chart.ReadBytes[0]) != math.MaxInt64 {
			t.Errorf("%s: %d points, %d bytes", resolution, len(chart.Timestamps), deref(chart.ReadBytes[0]))
		}
		other := chartOf(t, s, machineID+"-other", clock(0, 0, 0), clock(24, 0, 0), resolution)
		if len(other.Timestamps) != 1 {
			t.Errorf("%s: the chart of the other machine has %d points", resolution, len(other.Timestamps))
		}
	}
}

// amountsOfAName: a snapshot in which 1,100 processes of one name have used 2^53 - 1 ms each is refused. One that an
// earlier version has stored, with as much memory, does not keep the usage of names and of other machines from being
// read.
func amountsOfAName(t *testing.T, db storetest.Database, s *store.Store) {
	// No other test has machines with this name.
	const machineID, name, other = "crowd", "postgres: crowd", "crowd-other"
	crowd := func(cpuMS int64) snapshot.Snapshot {
		one := full(clock(14, 0, 1), time.Second)
		for pid := range int32(1100) {
			one.Processes = append(one.Processes, entry(pid+1, name, cpuMS, 1<<20))
		}
		return one
	}
	wantRefused(t, s, machineID, crowd(snapshot.MaxSafeInteger), "snapshots[0].processes[0].cpu_ms")

	storetest.Write(t, s, machineID, crowd(1))
	storetest.Write(t, s, other, full(clock(14, 0, 1), time.Second, entry(5, other, 500, 1<<20)))
	if _, err := storetest.Connect(t, db.URL).Exec(t.Context(), `UPDATE process_samples SET cpu_ms = $1, cpu_us = NULL,
			memory_usage = $1
		WHERE machine = machine_key($2)`, int64(snapshot.MaxSafeInteger), machineID); err != nil {
		t.Fatal(err)
	}
	check := func(when string, from, to snapshot.Time) {
		t.Helper()
		for of, want := range map[string]map[string]int64{
			"": {name: math.MaxInt64, other: 500_000}, machineID: {name: math.MaxInt64}, other: {other: 500_000},
		} {
			for _, order := range []query.UsageOrder{query.ByCPU, query.ByMemory} {
				list, _, err := s.Top(t.Context(), query.UsageQuery{MachineID: of, View: query.AllMachines(),
					From: from, To: to, Order: order, ByName: true, Limit: 1000})
				if err != nil {
					t.Fatalf("%s, machine %q, by %s: %v", when, of, order, err)
				}
				got := make(map[string]int64)
				for i := range list {
					got[list[i].Name] = int64(deref(list[i].CPUTime))
				}
				for name, micros := range want {
					if got[name] != micros {
						t.Errorf("%s, machine %q, by %s: %s used %d µs, want %d",
							when, of, order, name, got[name], micros)
					}
				}
			}
		}
		for _, resolution := range []query.Resolution{query.ResolutionMinute, query.ResolutionHour} {
			history, err := s.NameHistory(
				t.Context(), query.AllMachines(), "", name, from, to, resolution, 100)
			points := history.Points
			if err != nil || len(points) == 0 || deref(points[0].CPUTime) != math.MaxInt64 {
				t.Errorf("%s: %d points of %s (%v)", when, len(points), resolution, err)
			}
		}
	}
	check("samples", clock(14, 0, 0), clock(14, 1, 0))
	check("hours", clock(10, 0, 0), clock(20, 0, 0))
	if err := s.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("hours that are rolled up", clock(10, 0, 0), clock(20, 0, 0))
}

// A virtual machine with two cores gets more while its agent runs. The snapshot says how many.
func TestAmountsOfAddedCores(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		if _, err := s.Register(t.Context(), &snapshot.Machine{MachineID: "hot-add", CPUCount: 2}); err != nil {
			t.Fatal(err)
		}
		for cores, want := range map[int]bool{2: false, 16: true} {
			one := full(clock(14, cores, 0), 5*time.Minute, entry(5, "make", 16*300_000, 1<<30))
			one.Machine.Cores = make([]int16, cores)
			batch := &snapshot.Batch{MachineID: "hot-add", Snapshots: []snapshot.Snapshot{one}}
			if result := s.Write(t.Context(), []*snapshot.Batch{batch})[0]; (result.Err == nil) != want {
				t.Errorf("with %d cores: %v", cores, result.Err)
			}
		}
	})
}
