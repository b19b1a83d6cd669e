package api_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/snapshot"
)

// postProcesses posts full snapshots with one process per name. The interval is in milliseconds; 0 lets the server
// choose it. The CPU usage of the machine is known if the interval is.
func (s *testServer) postProcesses(machineID string, at snapshot.Time, intervalMS int64, names ...string) {
	s.t.Helper()
	one := snapshot.Snapshot{Timestamp: at, Kind: snapshot.KindFull, IntervalMS: intervalMS}
	if intervalMS > 0 {
		one.Machine.CPUUsage = new(12.5)
	}
	for i, name := range names {
		process := snapshot.ProcessSample{PID: int32(i + 1), PPID: new(int32(0)), Name: name}
		one.Processes = append(one.Processes, process)
	}
	body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: machineID, Snapshots: []snapshot.Snapshot{one}})
	if err != nil {
		s.t.Fatal(err)
	}
	decode[snapshot.Ack](s.t, s.do(http.MethodPost, "/api/v1/snapshots", string(body)))
}

// testGaps checks that a time in a gap is reported as such, and not as a state of the machine.
func testGaps(t *testing.T, s *testServer) {
	const day = 24 * time.Hour
	start := recentTime().Add(-22 * day)
	at := func(d time.Duration) snapshot.Time { return start.Add(d) }
	// Every ten seconds, then a gap of three weeks, then a gap of 20 minutes, then every ten minutes.
	afterWeeks, afterMinutes := 21*day, 21*day+20*time.Minute
	for _, one := range []struct {
		at         time.Duration
		intervalMS int64
	}{
		{0, 10_000}, {10 * time.Second, 10_000}, {20 * time.Second, 10_000}, {afterWeeks, 0},
		{afterWeeks + 10*time.Second, 10_000}, {afterMinutes, 0}, {afterMinutes + 10*time.Minute, 600_000},
	} {
		s.postProcesses("gaps", at(one.at), one.intervalMS, "gap-daemon")
	}
	last := afterMinutes + 10*time.Minute

	for _, test := range []struct {
		name         string
		at           time.Duration
		shown, next  time.Duration // next is 0 if there is none
		want, notRun bool
	}{
		{"at a snapshot", 10 * time.Second, 10 * time.Second, 20 * time.Second, false, false},
		{"between two snapshots", 15 * time.Second, 10 * time.Second, 20 * time.Second, false, false},
		{"in a gap of three weeks", 10 * day, 20 * time.Second, afterWeeks, true, true},
		{"soon after the start of a gap", 30 * time.Second, 20 * time.Second, afterWeeks, false, false},
		{"in a gap of 20 minutes", afterWeeks + 5*time.Minute, afterWeeks + 10*time.Second, afterMinutes, true, true},
		{"in a long interval", afterMinutes + 5*time.Minute, afterMinutes, last, false, false},
		{"after the last snapshot", last + 5*time.Minute, last, 0, false, false},
		{"long after the last snapshot", last + time.Hour, last, 0, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := decode[api.SnapshotAtView](t, s.get("/api/v1/machines/gaps/at?time=%s", at(test.at)))
			if got.Timestamp != at(test.shown) || got.RequestedTime != at(test.at) ||
				got.AgeMS != (test.at-test.shown).Milliseconds() {
				t.Errorf("snapshot %s of %s, age %d ms", got.Timestamp, got.RequestedTime, got.AgeMS)
			}
			if test.next == 0 && got.NextTimestamp != nil ||
				test.next != 0 && (got.NextTimestamp == nil || *got.NextTimestamp != at(test.next)) {
				t.Errorf("next snapshot: %v", got.NextTimestamp)
			}
			if got.InGap != test.want {
				t.Errorf("in a gap: %t", got.InGap)
			}
			found := decode[api.ProcessMatches](t, s.get("/api/v1/processes?name=gap-daemon&time=%s", at(test.at)))
			if notRun := len(found.Results) == 0; notRun != test.notRun {
				t.Errorf("the process did not run at this time: %t", notRun)
			}
		})
	}

	// A program that sends no intervals, and no values for which they matter.
	for minute := range 3 {
		s.postProcesses("no-intervals", at(time.Duration(minute)*time.Minute), 0, "gap-daemon")
	}
	between := at(90 * time.Second)
	if got := decode[api.SnapshotAtView](t, s.get("/api/v1/machines/no-intervals/at?time=%s", between)); got.InGap {
		t.Errorf("between two snapshots without intervals: %+v", got)
	}

	diff := func(from, to time.Duration) api.MachineDiff {
		return decode[api.MachineDiff](t, s.get("/api/v1/machines/gaps/diff?from=%s&to=%s", at(from), at(to)))
	}
	if in := diff(25*time.Second, 20*day); !in.SameSnapshot || in.From.InGap || !in.To.InGap ||
		in.To.AgeMS != (20*day-20*time.Second).Milliseconds() {
		t.Errorf("a comparison in a gap: %+v", in)
	}
	if across := diff(0, 21*day+time.Second); across.SameSnapshot || across.From.InGap || across.To.InGap {
		t.Errorf("a comparison across a gap: %+v", across)
	}
}

// testFindMinute is a case of a search for a minute: "crunch" ran only from 15:49:13 to 15:49:51.
func testFindMinute(t *testing.T, s *testServer) {
	day := recentTime().Std().Add(-24 * time.Hour).UTC().Truncate(24 * time.Hour)
	at := func(minute, second int) snapshot.Time {
		ofDay := 15*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
		return snapshot.TimeOf(day.Add(ofDay))
	}
	for second := 3; second <= 58; second += 5 {
		names := []string{"init"}
		if second >= 13 && second <= 51 {
			names = append(names, "crunch")
		}
		s.postProcesses("minute", at(49, second), 5000, names...)
	}
	// Another machine ran it twelve days earlier.
	earlier := at(49, 0).Add(-12 * 24 * time.Hour)
	s.postProcesses("minute-before", earlier, 5000, "init", "crunch")

	got := decode[api.ProcessMatches](t,
		s.get("/api/v1/processes?text=crunch&from=%s&to=%s", at(49, 0), at(50, 0)))
	if len(got.Results) != 1 || got.Results[0].MachineID != "minute" || len(got.Results[0].Usages) != 1 {
		t.Errorf("in the minute: %+v", got)
	}
	for _, test := range []struct {
		query         string
		before, after string
	}{
		{fmt.Sprintf("text=crunch&time=%s", at(49, 0)),
			"minute-before " + earlier.String(), "minute " + at(49, 13).String()},
		{fmt.Sprintf("text=crunch&from=%s&to=%s", at(48, 0), at(49, 0)),
			"minute-before " + earlier.String(), "minute " + at(49, 13).String()},
		{fmt.Sprintf("name=crunch&from=%s&to=%s", at(50, 0), at(51, 0)), "minute " + at(49, 48).String(), ""},
		{fmt.Sprintf("text=CRUN*&from=%s&to=%s", earlier.Add(-time.Hour), earlier.Add(-time.Minute)),
			"", "minute-before " + earlier.String()},
		{"text=crunch&time=9000-01-01T00:00:00Z", "minute " + at(49, 48).String(), ""},
		{"text=crunch&time=1970-01-01T00:00:00Z", "", "minute-before " + earlier.String()},
		{"name=crunc&since=1h", "", ""},
	} {
		got := decode[api.NearestMatches](t, s.get("/api/v1/processes/nearest?%s", test.query))
		if before, after := describe(got.Before), describe(got.After); before != test.before || after != test.after {
			t.Errorf("%s: before %q, after %q; want %q, %q", test.query, before, after, test.before, test.after)
		}
	}
}

func describe(match *api.NearestMatchView) string {
	if match == nil {
		return ""
	}
	if match.Name != "crunch" || match.PID != 2 || match.Hostname != "" {
		return fmt.Sprintf("%+v", *match)
	}
	return match.MachineID + " " + match.Timestamp.String()
}
