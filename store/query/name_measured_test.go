package query_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// runsOf returns snapshots of a process every 30 s in spans of minutes after 9:00. The interval of the first one of a
// span is unknown.
func runsOf(name string, spans ...[2]int) (list []snapshot.Snapshot) {
	const every = 30 * time.Second
	for _, span := range spans {
		begin := clock(9, 0, 0).Add(time.Duration(span[0]) * time.Minute)
		list = append(list, full(begin, 0, entry(5, name, -1, 1<<20)))
		for at := begin.Add(every); at <= clock(9, 0, 0).Add(time.Duration(span[1])*time.Minute); at = at.Add(every) {
			list = append(list, full(at, every, entry(5, name, 15_000, 1<<20)))
		}
	}
	return list
}

// nameOnLaterMachine: a machine is expected from its first data on, which can be before the range.
func nameOnLaterMachine(t *testing.T, s *store.Store, machineID string) {
	name := machineID
	storetest.Write(t, s, machineID+"-always", runsOf(name, [2]int{-10, 300})...)
	storetest.Write(t, s, machineID+"-away", runsOf(name, [2]int{-10, 85}, [2]int{205, 300})...)
	storetest.Write(t, s, machineID+"-later", runsOf(name, [2]int{235, 300})...)
	for _, c := range []struct {
		from, to   snapshot.Time
		resolution query.Resolution
		want       string // measured and expected machines of each point
	}{
		{clock(9, 0, 0), clock(14, 0, 0), query.ResolutionHour, "2/2 1/2 1/2 1/2 3/3"},
		{clock(11, 0, 0), clock(14, 0, 0), query.ResolutionHour, "1/2 1/2 3/3"},
		{clock(12, 23, 0), clock(12, 28, 0), query.ResolutionMinute, "1/2 1/2 2/2 2/2 2/2"},
		{clock(12, 53, 0), clock(12, 57, 0), query.ResolutionMinute, "2/2 2/2 3/3 3/3"},
	} {
		points, _ := namePoints(t, s, name, c.from, c.to, c.resolution)
		var got string
		for i, p := range points {
			if i > 0 {
				got += " "
			}
			got += fmt.Sprintf("%d/%d", p.MachinesMeasured, p.MachinesExpected)
		}
		if got != c.want {
			t.Errorf("%s to %s: %s machines, want %s", c.from, c.to, got, c.want)
		}
	}
}

// nameInPartOfHours: the history says in which part of an hour machines were measured.
func nameInPartOfHours(t *testing.T, s *store.Store, machineID string) {
	for i, c := range []struct {
		runs [][2]int // minutes after 9:00
		want string   // measured minutes of each hour; empty if it was measured all the time
	}{
		{[][2]int{{20, 180}}, "[20-60] [] []"},
		{[][2]int{{0, 60}, {100, 180}}, "[] [100-120] []"},
		{[][2]int{{0, 70}, {100, 180}}, "[] [60-70 100-120] []"},
		{[][2]int{{0, 140}}, "[] [] [120-140]"},
		{[][2]int{{0, 180}}, "[] [] []"},
	} {
		name := fmt.Sprintf("%s-%d", machineID, i)
		for k := range 5 {
			storetest.Write(t, s, fmt.Sprintf("%s-%d", name, k), runsOf(name, c.runs...)...)
		}
		points, used := namePoints(t, s, name, clock(9, 0, 0), clock(12, 0, 0), query.ResolutionAuto)
		var got string
		for i := range points {
			var spans []string
			for _, span := range points[i].Measured {
				spans = append(spans, fmt.Sprintf("%.0f-%.0f",
					span.From.Sub(clock(9, 0, 0)).Minutes(), span.To.Sub(clock(9, 0, 0)).Minutes()))
			}
			if i > 0 {
				got += " "
			}
			got += fmt.Sprint(spans)
		}
		if got != c.want || used != query.ResolutionHour {
			t.Errorf("machines at %v: measured at %s by %s, want %s", c.runs, got, used, c.want)
		}
	}
}
