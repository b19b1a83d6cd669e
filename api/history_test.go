package api_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// postHistory posts half an hour of snapshots, one every 30 seconds. They end one hour ago.
func (s *testServer) postHistory(machineID string) snapshottest.Series {
	s.t.Helper()
	machine := snapshottest.NewMachine(5, 20)
	machine.Churn = 0.02
	series := machine.Series(snapshot.TimeOf(time.Now().Add(-90*time.Minute)), 60, 30*time.Second, 4)
	body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: machineID, Snapshots: series.Snapshots})
	if err != nil {
		s.t.Fatal(err)
	}
	if got := s.do(http.MethodPost, "/api/v1/snapshots", string(body)); got.status != http.StatusCreated {
		s.t.Fatalf("%d %s", got.status, got.text)
	}
	return series
}

func testHistory(t *testing.T, s *testServer) {
	series := s.postHistory("m")
	first, last := series.Snapshots[0].Timestamp, series.Snapshots[59].Timestamp
	window := fmt.Sprintf("from=%s&to=%s", first, last+1)
	spent := make(map[snapshot.ProcessKey]snapshot.CPUTime)
	for _, list := range series.Expected {
		for _, p := range list {
			if p.CPUTime != nil {
				spent[p.ProcessKey] += *p.CPUTime
			}
		}
	}

	t.Run("chart", func(t *testing.T) {
		chart := decode[struct {
			Resolution string
			Series     struct {
				Timestamps    []snapshot.Time
				CPUUsageAvg   []*float64 `json:"cpu_usage_avg"`
				ReceivedBytes []*int64   `json:"received_bytes"`
			}
		}](t, s.do(http.MethodGet, "/api/v1/machines/m/metrics?resolution=1m&"+window, ""))
		if chart.Resolution != "1m" || len(chart.Series.Timestamps) < 30 || chart.Series.CPUUsageAvg[3] == nil ||
			*chart.Series.ReceivedBytes[3] == 0 {
			t.Errorf("%+v", chart)
		}
		auto := decode[struct{ Resolution string }](t, s.do(http.MethodGet, "/api/v1/machines/m/metrics?since=1h", ""))
		year := decode[struct{ Resolution string }](
			t, s.do(http.MethodGet, "/api/v1/machines/m/metrics?since=365d", ""),
		)
		if auto.Resolution != "raw" || year.Resolution != "1d" {
			t.Errorf("an hour is drawn as %s, a year as %s", auto.Resolution, year.Resolution)
		}
	})
	t.Run("top", func(t *testing.T) {
		top := decode[struct {
			Results []struct {
				PID       int32            `json:"pid"`
				StartedAt snapshot.Time    `json:"started_at"`
				CPUTime   snapshot.CPUTime `json:"cpu_ms"`
				CPUUsage  float64          `json:"cpu_usage"`
			}
		}](t, s.do(http.MethodGet, "/api/v1/machines/m/processes?limit=3&"+window, ""))
		if len(top.Results) != 3 {
			t.Fatalf("%+v", top)
		}
		for _, one := range top.Results {
			if want := spent[snapshot.ProcessKey{PID: one.PID, StartedAt: one.StartedAt}]; one.CPUTime != want ||
				one.CPUUsage == 0 {
				t.Errorf("%+v, want %d", one, want)
			}
		}
		names := decode[struct{ Results []struct{ Name string } }](
			t, s.do(http.MethodGet, "/api/v1/processes/top?by=name&sort=memory&"+window, ""),
		)
		if len(names.Results) < 3 || names.Results[0].Name == "" {
			t.Errorf("%+v", names)
		}
	})
	t.Run("one process", func(t *testing.T) {
		root := series.Expected[0][0]
		const path = "/api/v1/machines/m/processes/history"
		history := decode[struct {
			Resolution string
			Identities []struct{ Name string }
			Points     []struct {
				CPUTime *snapshot.CPUTime `json:"cpu_ms"`
			}
		}](t, s.get("%s?pid=%d&started_at=%s&%s", path, root.PID, root.StartedAt, window))
		total := snapshot.CPUTime(0)
		for _, p := range history.Points {
			if p.CPUTime != nil {
				total += *p.CPUTime
			}
		}
		if history.Resolution != "raw" || total != spent[root.ProcessKey] || len(history.Identities) == 0 {
			t.Errorf("%s, %d µs, want %d", history.Resolution, total, spent[root.ProcessKey])
		}
		byName := decode[struct{ Points []jsontext.Value }](t,
			s.get("%s?since=3h&name=%s", path, url.QueryEscape(root.Name)))
		if len(byName.Points) == 0 {
			t.Error("no history of the process's name")
		}
	})
	t.Run("diff", func(t *testing.T) {
		type change struct {
			PID          int32             `json:"pid"`
			MemoryBefore *int64            `json:"memory_before"`
			MemoryAfter  *int64            `json:"memory_after"`
			CPUTime      *snapshot.CPUTime `json:"cpu_ms"`
		}
		diff := decode[struct{ Started, Ended, Passed, Grew, Shrank []change }](
			t, s.do(http.MethodGet, fmt.Sprintf("/api/v1/machines/m/diff?from=%s&to=%s", first, last), ""),
		)
		if len(diff.Started) == 0 || len(diff.Ended) == 0 || len(diff.Grew)+len(diff.Shrank) == 0 {
			t.Fatalf("%+v", diff)
		}
		for i, one := range diff.Grew {
			if *one.MemoryAfter <= *one.MemoryBefore {
				t.Errorf("%+v did not grow", one)
			}
			if i > 0 && *one.MemoryAfter-*one.MemoryBefore > *diff.Grew[i-1].MemoryAfter-*diff.Grew[i-1].MemoryBefore {
				t.Error("the list is not sorted")
			}
		}
		path := fmt.Sprintf("/api/v1/machines/m/diff?from=%s&to=%s", first, last)
		all := decode[api.MachineDiff](t, s.do(http.MethodGet, path, ""))
		lengths := api.DiffTotals{
			Started: len(all.Started), Ended: len(all.Ended), Passed: len(all.Passed),
			Grew: len(all.Grew), Shrank: len(all.Shrank), Active: len(all.Active), Changed: len(all.Changed),
		}
		if all.Truncated || all.Totals != lengths {
			t.Errorf("totals %+v of %+v, truncated: %t", all.Totals, lengths, all.Truncated)
		}
		cut := decode[api.MachineDiff](t, s.do(http.MethodGet, path+"&limit=1", ""))
		if !cut.Truncated || cut.Totals != all.Totals || len(cut.Grew) > 1 || len(cut.Shrank) > 1 {
			t.Errorf("with limit 1: %+v, truncated: %t", cut.Totals, cut.Truncated)
		}
	})
	t.Run("fleet", func(t *testing.T) {
		name := series.Expected[30][2].Name
		const hostname = "the-host"
		if _, err := s.store.Register(t.Context(), &snapshot.Machine{MachineID: "m", Hostname: hostname}); err != nil {
			t.Fatal(err)
		}
		at := decode[struct {
			Results []struct {
				MachineID string `json:"machine_id"`
				Hostname  string
				Processes []struct{ Name string }
			}
		}](t, s.get("/api/v1/processes?time=%s&name=%s", series.Snapshots[30].Timestamp, url.QueryEscape(name)))
		if len(at.Results) != 1 || at.Results[0].MachineID != "m" || at.Results[0].Hostname != hostname ||
			at.Results[0].Processes[0].Name != name {
			t.Errorf("%+v", at)
		}
		in := decode[struct {
			Results []struct{ Usages []jsontext.Value }
		}](t, s.do(http.MethodGet, "/api/v1/processes?command=/usr/bin&"+window, ""))
		if len(in.Results) != 1 || len(in.Results[0].Usages) < 20 {
			t.Errorf("%+v", in)
		}
	})
	t.Run("export", func(t *testing.T) {
		first, last := series.Snapshots[0].Timestamp, series.Snapshots[59].Timestamp
		all := fmt.Sprintf("from=%s&to=%s", first-1, last)
		lines := strings.Split(
			strings.TrimSpace(s.do(http.MethodGet, "/api/v1/machines/m/export?"+all, "").text), "\n",
		)
		if len(lines) != 60 { // three pages of the store
			t.Fatalf("%d lines, want 60", len(lines))
		}
		endings := 0 // snapshots
		for i, line := range lines {
			var view struct {
				Timestamp snapshot.Time
				Processes []snapshot.Process
				Ended     snapshot.EndedProcesses
			}
			if err := json.Unmarshal([]byte(line), &view, json.MatchCaseInsensitiveNames(true)); err != nil {
				t.Fatal(err)
			}
			if view.Ended.Processes > 0 {
				endings++
			}
			if diff := snapshottest.Diff(view.Processes, series.Expected[i]); diff != "" ||
				view.Timestamp != series.Snapshots[i].Timestamp {
				t.Fatalf("line %d: %s", i, diff)
			}
		}
		table := s.do(http.MethodGet, "/api/v1/machines/m/export?format=csv&"+all, "")
		rows, err := csv.NewReader(strings.NewReader(table.text)).ReadAll()
		want := 1 + endings
		for _, list := range series.Expected {
			want += len(list)
		}
		if err != nil || len(rows) != want || table.header.Get("Content-Type") != "text/csv; charset=utf-8" {
			t.Errorf("%d rows, want %d (%v)", len(rows), want, err)
		}
		table = s.do(http.MethodGet, "/api/v1/machines/m/export?format=csv&include=machine&"+all, "")
		rows, err = csv.NewReader(strings.NewReader(table.text)).ReadAll()
		if err != nil || len(rows) != 61 {
			t.Errorf("%d rows without processes (%v)", len(rows), err)
		}
		// The window is (from, to], as that of sums over snapshots is.
		inner := s.get("/api/v1/machines/m/export?include=machine&from=%s&to=%s", first, last-1).text
		if n := strings.Count(inner, "\n"); n != 58 {
			t.Errorf("%d lines from the first to just before the last snapshot, want 58", n)
		}
	})
}

// TestExportEscapesFormulas checks that spreadsheets do not execute process names.
func TestExportEscapesFormulas(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	body := fmt.Sprintf(`{"machine_id": "m", "snapshots": [{"timestamp": %q, "processes": [
		{"pid": 1, "ppid": 0, "name": "=cmd()", "command_line": "@x, \"y\""}]}]}`, snapshot.TimeOf(time.Now()))
	if got := s.do(http.MethodPost, "/api/v1/snapshots", body); got.status != http.StatusCreated {
		t.Fatal(got.text)
	}
	table := s.get("/api/v1/machines/m/export?format=csv")
	rows, err := csv.NewReader(strings.NewReader(table.text)).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][5] != "'=cmd()" || rows[1][6] != `'@x, "y"` {
		t.Errorf("%q, %v", rows, err)
	}
}

// The CPU time of processes that ended is in the table as well, so that its sum is that of the machine.
func TestExportOfEndedProcesses(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	at := snapshot.TimeOf(time.Now().Add(-time.Minute))
	body := fmt.Sprintf(`{"machine_id": "m", "snapshots": [
		{"timestamp": %q, "interval_ms": 5000, "processes": [{"pid": 1, "ppid": 0, "name": "init", "cpu_ms": 100}]},
		{"timestamp": %q, "interval_ms": 5000, "processes": [{"pid": 1, "ppid": 0, "name": "init", "cpu_ms": 100},
			{"pid": 7, "ppid": 1, "name": "job", "cpu_ms": 4000.034, "state": "X"},
			{"pid": 8, "ppid": 1, "name": "job", "state": "X"}]}]}`, at, at.Add(5*time.Second))
	if got := s.do(http.MethodPost, "/api/v1/snapshots", body); got.status != http.StatusCreated {
		t.Fatal(got.text)
	}
	rows, err := csv.NewReader(strings.NewReader(s.get("/api/v1/machines/m/export?format=csv").text)).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%q, %v", rows, err)
	}
	for name, want := range map[string]string{
		"state": "ended", "pid": "", "cpu_ms": "4000.034", "cpu_usage": "80",
		"ended_processes": "2", "unknown_cpu_processes": "1", "memory_usage": "",
	} {
		if i := slices.Index(rows[0], name); i < 0 || rows[3][i] != want {
			t.Errorf("%s of %q and %q: want %q", name, rows[0], rows[3], want)
		}
	}
}

// testListsThatAreCut checks that every list with a limit says when it was cut.
func testListsThatAreCut(t *testing.T, s *testServer) {
	const searched = 10_000 // processes of a page of a search
	at := snapshot.TimeOf(time.Now().Add(-time.Minute))
	crowd := snapshot.Snapshot{Timestamp: at, Kind: snapshot.KindFull, IntervalMS: 1000}
	for pid := range int32(searched + 1) {
		p := snapshot.ProcessSample{
			PID: pid + 1, StartedAt: at, PPID: new(int32), Name: "crowd", CPUTime: new(snapshot.CPUTime(1)),
		}
		if pid < 3 {
			p.CommandLine = "three of them"
		}
		crowd.Processes = append(crowd.Processes, p)
	}
	storetest.Write(t, s.store, "crowd", crowd)
	type list struct {
		Results []struct {
			Usages []jsontext.Value
		}
		Truncated *bool
	}
	for _, test := range []struct {
		path      string
		results   int
		truncated bool
	}{
		{"/api/v1/machines/crowd/processes?limit=3", 3, true},
		{"/api/v1/machines/crowd/processes?limit=1000", 1000, true},
		{"/api/v1/machines/crowd/processes?by=name&limit=1", 1, false},
		{"/api/v1/processes/top?limit=3", 3, true},
		{"/api/v1/processes?name=crowd", 1, true},
		{"/api/v1/processes?command=three", 1, false},
	} {
		got := decode[list](t, s.do(http.MethodGet, test.path, ""))
		if len(got.Results) != test.results || got.Truncated == nil || *got.Truncated != test.truncated {
			t.Errorf("%s: %d results, truncated: %v, want %+v", test.path, len(got.Results), got.Truncated, test)
		}
		if strings.HasSuffix(test.path, "name=crowd") && len(got.Results[0].Usages) != searched {
			t.Errorf("%s: %d processes, want %d", test.path, len(got.Results[0].Usages), searched)
		}
	}
}

func testInvalidHistoryRequests(t *testing.T, s *testServer) {
	s.postHistory("invalid-history")
	for _, test := range []struct {
		path, field string
		status      int
	}{
		{"/machines/nobody/metrics", "", 404},
		{"/machines/nobody/processes", "", 404},
		{"/machines/nobody/processes/history?pid=1", "", 404},
		{"/machines/nobody/export", "", 404},
		{"/machines/nobody/diff?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z", "", 404},
		{"/machines/invalid-history/processes/history?pid=999999", "", 404},
		{"/machines/invalid-history/processes/history", "pid", 422},
		{"/machines/invalid-history/processes/history?pid=1&name=x", "name", 422},
		{"/machines/invalid-history/processes/history?name=x&resolution=raw", "resolution", 422},
		{"/machines/invalid-history/metrics?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from", 422},
		{"/machines/invalid-history/metrics?from=yesterday", "from", 422},
		{"/machines/invalid-history/metrics?to=2026-01-01T00:00:00Z", "from", 422},
		{"/machines/invalid-history/metrics?since=1h&from=2026-01-01T00:00:00Z", "since", 422},
		{"/machines/invalid-history/metrics?since=11y", "since", 422},
		{"/machines/invalid-history/metrics?from=1990-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from", 422},
		{"/machines/invalid-history/metrics?resolution=5m", "resolution", 422},
		{"/machines/invalid-history/metrics?window=1h", "window", 422},
		{"/machines/invalid-history/processes?limit=1000000000", "limit", 422},
		{"/machines/invalid-history/processes?sort=name", "sort", 422},
		{"/machines/invalid-history/diff?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from", 422},
		{"/machines/invalid-history/diff?from=2026-02-01T00:00:00Z", "to", 422},
		{"/processes", "name", 422},
		{"/processes?name=x&time=2026-01-01T00:00:00Z&since=1h", "time", 422},
		{"/processes/nearest", "name", 422},
		{"/processes/nearest?name=x&time=2026-01-01T00:00:00Z&since=1h", "time", 422},
		{"/processes/nearest?name=x&from=yesterday", "from", 422},
		{"/processes?name=x&cursor=nonsense", "cursor", 422},
		{"/processes?name=x&limit=501", "limit", 422},
	} {
		got := s.do(http.MethodGet, "/api/v1"+test.path, "")
		if p := got.problem(t); got.status != test.status || p.Field != test.field {
			t.Errorf("%s: %d, field %q (%s); want %d, %q",
				test.path, got.status, p.Field, p.Detail, test.status, test.field)
		}
	}
	// A window of ten years is valid.
	for _, path := range []string{
		"/machines/invalid-history/metrics?since=3650d",
		"/machines/invalid-history/processes?since=3650d",
		"/processes/top?since=3650d",
		"/processes?name=bash&since=3650d",
		"/processes/nearest?name=bash&since=3650d",
		"/machines/invalid-history/processes/history?name=bash&since=3650d",
	} {
		if got := s.do(http.MethodGet, "/api/v1"+path, ""); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, got.status, got.text)
		}
	}
}
