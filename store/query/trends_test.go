package query_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
)

func testProcessTrends(t *testing.T, s *store.Store, _ *pgx.Conn, h history) {
	// Sixty parts of a minute with two steps each. A step's time is the end of its interval.
	trends, err := s.ProcessTrends(t.Context(), "b", h.at(199), h.at(319))
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[snapshot.ProcessKey][query.TrendPoints]int64)
	for step := 200; step < 320; step++ {
		for _, p := range h.series["b"].Expected[step] {
			if spent := deref(p.CPUMS); spent > 0 {
				points := want[p.ProcessKey]
				points[(step-200)/2] += spent
				want[p.ProcessKey] = points
			}
		}
	}
	if len(trends) != len(want) || len(want) == 0 {
		t.Errorf("%d processes, want %d", len(trends), len(want))
	}
	for _, one := range trends {
		var got [query.TrendPoints]int64
		for part, ms := range one.CPUMS {
			if ms == nil {
				t.Errorf("%v has no data in part %d", one.Key, part)
				continue
			}
			got[part] = int64(math.Round(*ms))
		}
		if got != want[one.Key] {
			t.Errorf("%v spent %v, want %v", one.Key, got, want[one.Key])
		}
	}
	if _, err := s.ProcessTrends(t.Context(), "nobody", h.at(0), h.at(1)); !errors.Is(err, snapshot.ErrNoMachine) {
		t.Errorf("no machine: %v", err)
	}
}

func testMachineTrends(t *testing.T, s *store.Store, _ *pgx.Conn, h history) {
	end := h.at(300)
	trends, err := s.MachineTrends(t.Context(), query.AllMachines(), []string{"c", "a", "nobody"}, end)
	if err != nil || len(trends) != 2 || trends[0].MachineID != "a" || trends[1].MachineID != "c" {
		t.Fatalf("%+v, %v", trends, err)
	}
	chart, _, err := s.Chart(
		t.Context(), "a", end.Add(-60*time.Minute), end, query.ResolutionMinute, 100,
	)
	if err != nil || len(chart.Timestamps) != query.TrendPoints {
		t.Fatalf("%d points, %v", len(chart.Timestamps), err)
	}
	for i := range chart.Timestamps {
		if deref(trends[0].CPUUsage[i]) != deref(chart.CPUUsageAvg[i]) ||
			deref(trends[0].Load1[i]) != deref(chart.Load1Avg[i]) ||
			trends[0].CPUUsage[i] == nil {
			t.Errorf("minute %d: %v, the chart has %v", i, trends[0].CPUUsage[i], chart.CPUUsageAvg[i])
		}
	}
	if none, err := s.MachineTrends(t.Context(), query.View{}, []string{"a"}, end); err != nil || len(none) != 0 {
		t.Errorf("an empty view has %v, %v", none, err)
	}
}
