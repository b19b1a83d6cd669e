package query_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// lateInsideInterval: another program sends what a stored snapshot's interval already accounts for. Nothing counts
// twice, except a process that ended before that snapshot.
func lateInsideInterval(t *testing.T, s *store.Store, machineID string) {
	read := func(one snapshot.Snapshot) snapshot.Snapshot {
		one.Machine.Disks = []snapshot.Disk{{Device: "sda", Mount: "/", ReadBytes: new(one.IntervalMS)}}
		return one
	}
	storetest.Write(t, s, machineID,
		read(full(clock(14, 1, 0), time.Minute, entry(5, "java", 60_000, 8<<30))),
		read(full(clock(14, 2, 0), time.Minute, entry(5, "java", 60_000, 1<<30))),
		read(full(clock(14, 3, 0), time.Minute, entry(5, "java", 60_000, 1<<30))))
	ended := entry(6, "short", 700, 1<<20)
	ended.State = snapshot.StateEnded
	storetest.Write(t, s, machineID, read(full(clock(14, 1, 10), 10*time.Second, entry(5, "java", 10_000, 8<<30))))
	storetest.Write(t, s, machineID,
		full(clock(14, 1, 15), 5*time.Second, entry(5, "java", 5000, 8<<30), ended),
		changes(clock(14, 1, 20), 5*time.Second), changes(clock(14, 1, 30), 10*time.Second),
		changes(clock(14, 1, 40), 10*time.Second))
	withoutInterval := read(full(clock(14, 2, 30), 0, entry(5, "java", 30_000, 1<<30)))
	withoutInterval.Machine.Disks[0].ReadBytes = new(int64(30_000))
	storetest.Write(t, s, machineID, withoutInterval)
	for _, window := range []struct {
		from, to snapshot.Time
		ms       int64
	}{
		{clock(14, 0, 0), clock(14, 3, 0), 180_000},
		{clock(14, 1, 0), clock(14, 2, 0), 60_000},
		{clock(14, 1, 25), clock(14, 2, 0), 60_000},
		{clock(14, 1, 45), clock(14, 2, 0), 60_000},
		{clock(14, 1, 45), clock(14, 3, 0), 120_000},
		{clock(14, 0, 0), clock(18, 0, 0), 180_000},
	} {
		top := topOf(t, s, machineID, window.from, window.to)
		one := top[5]
		if msOf(one.CPUTime) != window.ms || deref(one.MemoryAvg) < 1<<30 || deref(one.MemoryAvg) > 8<<30 {
			t.Errorf("%s to %s: %d ms of CPU and %s bytes of memory, want %d ms and 1 to 8 GiB",
				window.from, window.to, msOf(one.CPUTime), showNumber(one.MemoryAvg), window.ms)
		}
		if short := top[6]; window.from < clock(14, 1, 0) && msOf(short.CPUTime) != 700 {
			t.Errorf("%s to %s: %d ms of the process that ended, want 700", window.from, window.to, msOf(short.CPUTime))
		}
	}
	chart := chartOf(t, s, machineID, clock(14, 0, 0), clock(15, 0, 0), query.ResolutionHour)
	if len(chart.Timestamps) != 1 || chart.IntervalMS[0] != 180_000 || deref(chart.ReadBytes[0]) != 180_000 {
		t.Errorf("the hour has %d bytes in %d ms, want 180,000 of both",
			deref(chart.ReadBytes[0]), chart.IntervalMS[0])
	}
}
