package query_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
)

// caseDay is the day of the small series with known totals.
var caseDay = time.Now().UTC().Truncate(24 * time.Hour).Add(-48 * time.Hour)

// clock returns a time of caseDay.
func clock(hour, minute, second int) snapshot.Time {
	return snapshot.TimeOf(caseDay.Add(
		time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second))
}

// entry returns the entry of a process in a snapshot. Values that are negative are unknown.
func entry(pid int32, name string, cpuMS, memory int64) snapshot.ProcessSample {
	sample := snapshot.ProcessSample{PID: pid, StartedAt: clock(1, 0, 0), PPID: new(int32(1)), Name: name, State: "S"}
	if cpuMS >= 0 {
		sample.CPUTime = new(snapshot.CPUTime(cpuMS * 1000))
	}
	if memory >= 0 {
		sample.MemoryUsage = &memory
	}
	return sample
}

// msOf returns a CPU time in milliseconds: 0 if it is unknown, and -1 if it is not a whole number of them.
func msOf(t *snapshot.CPUTime) int64 {
	if t != nil && *t%1000 != 0 {
		return -1
	}
	return int64(deref(t)) / 1000
}

// full returns a full snapshot.
func full(at snapshot.Time, interval time.Duration, processes ...snapshot.ProcessSample) snapshot.Snapshot {
	return snapshot.Snapshot{
		Timestamp: at, Kind: snapshot.KindFull, IntervalMS: interval.Milliseconds(), Processes: processes,
	}
}

// changes returns a snapshot of what changed.
func changes(at snapshot.Time, interval time.Duration, processes ...snapshot.ProcessSample) snapshot.Snapshot {
	s := full(at, interval, processes...)
	s.Kind = snapshot.KindChanges
	return s
}

// topOf returns the usage of each process of a machine in a window by pid.
func topOf(t *testing.T, s *store.Store, machineID string, from, to snapshot.Time) map[int32]query.Usage {
	t.Helper()
	list, _, err := s.Top(t.Context(), query.UsageQuery{
		MachineID: machineID, From: from, To: to, Order: query.ByMemory, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	byPID := make(map[int32]query.Usage)
	for _, u := range list {
		byPID[u.PID] = u
	}
	return byPID
}

// wantNear compares numbers within a factor of 0.001.
func wantNear(t *testing.T, what string, got *float64, want float64) {
	t.Helper()
	if got == nil || math.Abs(*got-want) > 0.001*want {
		t.Errorf("%s is %s, want %v", what, showNumber(got), want)
	}
}

func showNumber(v *float64) string {
	if v == nil {
		return "unknown"
	}
	return fmt.Sprint(*v)
}

func withCPU(s snapshot.Snapshot, percent float64) snapshot.Snapshot {
	s.Machine.CPUUsage = &percent
	return s
}

// beforeAndAfterRollups calls check twice: before the samples are rolled up and after that.
func beforeAndAfterRollups(t *testing.T, s *store.Store, check func(when string)) {
	t.Helper()
	check("before it is rolled up")
	if err := s.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("after that")
}

// chartOf returns the chart of a machine between two times.
func chartOf(
	t *testing.T, s *store.Store, machineID string, from, to snapshot.Time, resolution query.Resolution,
) *query.MachineChart {
	t.Helper()
	chart, _, err := s.Chart(t.Context(), machineID, from, to, resolution, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return chart
}
