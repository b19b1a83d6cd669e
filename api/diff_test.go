package api_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// The change of an unknown value is unknown, and no difference.
func TestDiffOfUnknownValues(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	at := recentTime()
	process := func(pid int32, memory *int64) snapshot.ProcessSample {
		return snapshot.ProcessSample{
			PID: pid, PPID: new(int32(0)), Name: "p", CPUMS: new(int64(pid)), MemoryUsage: memory,
			Threads: new(int32(1)),
		}
	}
	const unknown, grew, started = 1, 2, 3
	for i, list := range [][]snapshot.ProcessSample{
		{process(unknown, nil), process(grew, new(int64(1)))},
		{process(unknown, new(int64(2<<30))), process(grew, new(int64(5))), process(started, new(int64(7)))},
	} {
		storetest.Write(t, s.store, "unknown", snapshot.Snapshot{
			Timestamp: at.Add(time.Duration(i) * time.Minute), Kind: snapshot.KindFull, IntervalMS: 60_000,
			Processes: list,
		})
	}
	byMemory := decode[api.MachineDiff](t,
		s.get("/api/v1/machines/unknown/diff?from=%s&to=%s", at, at.Add(time.Minute)))
	if list := byMemory.Grew; len(list) != 1 || list[0].PID != grew || *list[0].MemoryChange != 4 {
		t.Errorf("grew: %+v", list)
	}
	if list := byMemory.Started; len(list) != 1 || list[0].PID != started || *list[0].MemoryChange != 7 {
		t.Errorf("started: %+v", list)
	}
	byCPU := decode[api.MachineDiff](t,
		s.get("/api/v1/machines/unknown/diff?from=%s&to=%s&sort=cpu", at, at.Add(time.Minute)))
	if list := byCPU.Grew; len(list) != 2 || list[1].PID != unknown || list[1].MemoryChange != nil ||
		*list[1].ThreadsChange != 0 {
		t.Errorf("with CPU time: %+v", list)
	}
}
