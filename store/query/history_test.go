package query_test

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// history is the history of three machines: four and a half hours with a snapshot every 30 s, which start two
// days ago and include midnight.
type history struct {
	series map[string]snapshottest.Series
	begin  snapshot.Time
	now    time.Time
}

func writeHistory(t *testing.T, s *store.Store, now time.Time) history {
	t.Helper()
	h := history{
		series: make(map[string]snapshottest.Series),
		now:    now,
		begin:  snapshot.TimeOf(now.UTC().Truncate(24 * time.Hour).Add(-26*time.Hour + 20*time.Minute)),
	}
	for i, machineID := range []string{"a", "b", "c"} {
		machine := snapshottest.NewMachine(uint64(i+1), 12)
		machine.Churn = 0.004
		series := machine.Series(h.begin, 540, 30*time.Second, 4)
		h.series[machineID] = series
		for rest := series.Snapshots; len(rest) > 0; {
			n := min(90, len(rest))
			storetest.Write(t, s, machineID, rest[:n]...)
			rest = rest[n:]
		}
	}
	return h
}

// at returns the time of a step.
func (h history) at(step int) snapshot.Time {
	return h.begin.Add(time.Duration(step) * 30 * time.Second)
}

// historyTests are run on the history before its rollups are materialized, after that, and after
// compression.
var historyTests = map[string]func(t *testing.T, s *store.Store, conn *pgx.Conn, h history){
	"top processes": testTopProcesses, "diff": testDiff, "process history": testProcessHistory,
	"fleet search": testFleetSearch, "machine chart": testMachineChart, "views": testViews,
	"storage": testStorage, "process trends": testProcessTrends, "machine trends": testMachineTrends,
}

func TestHistory(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		now := time.Now()
		s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
		conn := storetest.Connect(t, db.URL)
		h := writeHistory(t, s, now)
		run := func(stage string) {
			t.Run(stage, func(t *testing.T) {
				for name, test := range historyTests {
					t.Run(name, func(t *testing.T) { test(t, s, conn, h) })
				}
			})
		}
		run("fresh")
		storetest.RefreshAll(t, db, s)
		run("rolled up")
		if db.Detection.Profile == backend.Timescale {
			storetest.CompressAll(t, conn)
			run("compressed")
		}
		t.Run("name of late data", func(t *testing.T) { testNameOfLateData(t, s, conn, db, h) })
	})
}

// bucketOf returns the bucket (bucket, bucket + width] that contains a snapshot.
func bucketOf(at snapshot.Time, width time.Duration) snapshot.Time {
	return snapshot.TimeOf((at - 1).Std().UTC().Truncate(width))
}

// used returns the CPU time in steps [from, to) by process.
func (h history) used(machineID string, from, to int) map[snapshot.ProcessKey]snapshot.CPUTime {
	sums := make(map[snapshot.ProcessKey]snapshot.CPUTime)
	for _, list := range h.series[machineID].Expected[from:to] {
		for i := range list {
			sums[list[i].ProcessKey] += deref(list[i].CPUTime)
		}
	}
	return sums
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func testTopProcesses(t *testing.T, s *store.Store, _ *pgx.Conn, h history) {
	for name, steps := range map[string][2]int{"an hour and a half": {33, 213}, "three whole hours": {80, 440},
		"all": {-1, 539}} {
		from, to := h.at(steps[0]), h.at(steps[1])
		list, window, err := s.Top(
			t.Context(), query.UsageQuery{MachineID: "b", From: from, To: to, Order: query.ByCPU, Limit: 1000},
		)
		if err != nil {
			t.Fatal(err)
		}
		first, last := steps[0], steps[1]
		if window.From != from { // widened to the hour
			first = max(-1, first-int((from-window.From)/30_000))
			last += int((window.To - to) / 30_000)
		}
		if window.From > from || window.To < to || from.Sub(window.From) >= time.Hour ||
			window.To.Sub(to) >= time.Hour {
			t.Errorf("%s: looked at %s to %s for %s to %s", name, window.From, window.To, from, to)
		}
		want := h.used("b", first+1, min(540, last+1))
		if len(list) != len(want) {
			t.Errorf("%s: %d processes, want %d", name, len(list), len(want))
		}
		for i, u := range list {
			if key := (snapshot.ProcessKey{PID: u.PID, StartedAt: u.StartedAt}); deref(u.CPUTime) != want[key] {
				t.Errorf("%s: %v spent %d, want %d", name, key, deref(u.CPUTime), want[key])
			}
			if i > 0 && deref(u.CPUTime) > deref(list[i-1].CPUTime) {
				t.Errorf("%s: not in order at %d", name, i)
			}
		}
	}
	byName, _, err := s.Top(
		t.Context(),
		query.UsageQuery{
			View:   query.AllMachines(),
			From:   h.at(-1),
			To:     h.at(540),
			Order:  query.ByMemory,
			ByName: true,
			Limit:  100,
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	var total, want snapshot.CPUTime
	for _, u := range byName {
		total += deref(u.CPUTime)
	}
	for machineID := range h.series {
		for _, spent := range h.used(machineID, 0, 540) {
			want += spent
		}
	}
	if total != want {
		t.Errorf("all names of all machines spent %d, want %d", total, want)
	}
	none, _, err := s.Top(t.Context(), query.UsageQuery{From: h.at(0), To: h.at(540), ByName: true, Limit: 10})
	if err != nil || len(none) != 0 {
		t.Errorf("an empty view has %+v, %v", none, err)
	}
	if _, _, err := s.Top(t.Context(), query.UsageQuery{
		MachineID: "nobody", From: h.at(0), To: h.at(1), Limit: 1}); !errors.Is(
		err,
		snapshot.ErrNoMachine,
	) {
		t.Errorf("an unknown machine: %v", err)
	}
}

func testDiff(t *testing.T, s *store.Store, _ *pgx.Conn, h history) {
	for _, steps := range [][2]int{{10, 17}, {50, 500}, {7, 7}} {
		diff, err := s.Diff(t.Context(), "a", h.at(steps[0]), h.at(steps[1]), 1000)
		if err != nil {
			t.Fatal(err)
		}
		alive := func(step int) map[snapshot.ProcessKey]snapshot.Process {
			all := make(map[snapshot.ProcessKey]snapshot.Process)
			for _, p := range h.series["a"].Expected[step] {
				all[p.ProcessKey] = p
			}
			return all
		}
		before, after := alive(steps[0]), alive(steps[1])
		used := h.used("a", steps[0]+1, steps[1]+1)
		seen := make(map[snapshot.ProcessKey]bool)
		for _, change := range diff.Changes {
			var key snapshot.ProcessKey
			switch {
			case change.After != nil:
				key = change.After.ProcessKey
			case change.Before != nil:
				key = change.Before.ProcessKey
			default:
				key = change.Used.ProcessKey
			}
			seen[key] = true
			b, wasThere := before[key]
			a, isThere := after[key]
			if (change.Before != nil) != wasThere || (change.After != nil) != isThere {
				t.Fatalf(
					"%v to %v: %v: before %v, after %v; want %v, %v", steps[0], steps[1], key,
					change.Before != nil, change.After != nil, wasThere, isThere,
				)
			}
			if wasThere && !change.Before.Values.Equal(b.Values) ||
				isThere && !change.After.Values.Equal(a.Values) {
				t.Errorf("%v: values differ", key)
			}
			spent := snapshot.CPUTime(0)
			if change.Used != nil {
				spent = deref(change.Used.CPUTime)
			}
			if spent != used[key] {
				t.Errorf("%v to %v: %v spent %d, want %d", steps[0], steps[1], key, spent, used[key])
			}
		}
		for key := range used {
			if !seen[key] {
				t.Errorf("%v is missing", key)
			}
		}
	}
}

func testProcessHistory(t *testing.T, s *store.Store, _ *pgx.Conn, h history) {
	series := h.series["c"]
	root := series.Expected[0][0]
	lifetime, err := s.ProcessLifetime(t.Context(), "c", root.PID, root.StartedAt)
	if err != nil || lifetime.ProcessKey != root.ProcessKey || len(lifetime.Identities) == 0 {
		t.Fatalf("%+v, %v", lifetime, err)
	}
	for _, resolution := range []query.Resolution{query.ResolutionRaw, query.ResolutionHour,
		query.ResolutionThreeHours, query.ResolutionDay} {
		points, more, err := s.ProcessHistory(t.Context(), "c", lifetime, h.at(-1), h.at(540), resolution, 1000)
		if err != nil || more {
			t.Fatalf("%s: more %v, %v", resolution, more, err)
		}
		want := make(map[snapshot.Time]snapshot.CPUTime)
		var got, total snapshot.CPUTime
		for i, list := range series.Expected {
			at := series.Snapshots[i].Timestamp
			if width := resolution.Width(); width > 0 {
				at = bucketOf(at, width)
			}
			for k := range list {
				if list[k].ProcessKey == root.ProcessKey {
					want[at] += deref(list[k].CPUTime)
					total += deref(list[k].CPUTime)
				}
			}
		}
		for _, p := range points {
			got += deref(p.CPUTime)
			if deref(p.CPUTime) != want[p.Timestamp] {
				t.Errorf("%s at %s: %d, want %d", resolution, p.Timestamp, deref(p.CPUTime), want[p.Timestamp])
			}
			if resolution == query.ResolutionRaw && p.ElapsedMS != 30_000 {
				t.Errorf("the sample of %s covers %d ms, want 30 s", p.Timestamp, p.ElapsedMS)
			}
		}
		if got != total || total == 0 {
			t.Errorf("%s: %d in all, want %d", resolution, got, total)
		}
	}
	if limited, more, err := s.ProcessHistory(t.Context(), "c", lifetime, h.at(-1), h.at(540),
		query.ResolutionHour, 2); err != nil ||
		!more ||
		len(limited) != 2 {
		t.Errorf("%d points of at most 2, more %v, %v", len(limited), more, err)
	}
	history, err := s.NameHistory(
		t.Context(), query.AllMachines(), "", root.Name, h.at(-1), h.at(540), query.ResolutionHour, 1000,
	)
	byName := history.Points
	if err != nil {
		t.Fatal(err)
	}
	var got, want snapshot.CPUTime
	for _, p := range byName {
		got += deref(p.CPUTime)
	}
	for _, one := range h.series {
		for _, list := range one.Expected {
			for k := range list {
				if list[k].Name == root.Name {
					want += deref(list[k].CPUTime)
				}
			}
		}
	}
	if got != want {
		t.Errorf("all %s spent %d, want %d", root.Name, got, want)
	}
	empty, err := s.NameHistory(
		t.Context(), query.View{}, "", root.Name, h.at(-1), h.at(540), query.ResolutionHour, 1000,
	)
	none := empty.Points
	if err != nil || len(none) != 0 {
		t.Errorf("an empty view has %+v, %v", none, err)
	}
	if _, err := s.ProcessLifetime(t.Context(), "c", 4_000_000, 0); !errors.Is(err, query.ErrNoProcess) {
		t.Errorf("an unknown process: %v", err)
	}
}

func testFleetSearch(t *testing.T, s *store.Store, _ *pgx.Conn, h history) {
	step := 301
	wanted := h.series["b"].Expected[step][3]
	found, next, err := s.FleetAt(
		t.Context(), query.Match{Name: wanted.Name}, h.at(step)+500,
		query.FleetPage{View: query.AllMachines(), Limit: 10},
	)
	if err != nil || next != "" {
		t.Fatalf("next %q, %v", next, err)
	}
	got := make(map[string]int)
	for _, one := range found {
		got[one.MachineID] = len(one.Processes)
	}
	for machineID, series := range h.series {
		want := 0
		for _, p := range series.Expected[step] {
			if p.Name == wanted.Name {
				want++
			}
		}
		if got[machineID] != want {
			t.Errorf("%s runs %d %s, want %d", machineID, got[machineID], wanted.Name, want)
		}
	}
	// By command line, in pages.
	seen := 0
	for after := ""; ; {
		page, next, err := s.FleetAt(
			t.Context(), query.Match{Command: "*/ETC/?*.conf"}, h.at(step),
			query.FleetPage{View: query.AllMachines(), After: after, Limit: 1},
		)
		if err != nil || len(page) != 1 {
			t.Fatalf("%d machines, %v", len(page), err)
		}
		seen++
		if after = next; next == "" {
			break
		}
	}
	if seen != 3 {
		t.Errorf("%d machines by command line, want 3", seen)
	}
	for _, text := range []string{wanted.Name, "/bin/" + wanted.Name} { // by name or command line
		if found, _, err := s.FleetAt(t.Context(), query.Match{Text: text}, h.at(step),
			query.FleetPage{View: query.AllMachines(), Limit: 10}); err != nil ||
			len(found) == 0 {
			t.Errorf("nothing has %s in its name or command line: %v", text, err)
		}
	}
	if none, _, err := s.FleetAt(t.Context(), query.Match{Command: "100%_sure"}, h.at(step),
		query.FleetPage{View: query.AllMachines(), Limit: 10}); err != nil ||
		len(none) != 0 {
		t.Errorf("wildcards of SQL were not escaped: %v, %v", none, err)
	}
	if off, _, err := s.FleetAt(t.Context(), query.Match{Name: wanted.Name}, h.at(540).Add(time.Hour),
		query.FleetPage{View: query.AllMachines(), Limit: 10}); err != nil ||
		len(off) != 0 {
		t.Errorf("machines that are off have matches: %v, %v", off, err)
	}
	window, err := s.FleetWindow(
		t.Context(), query.Match{Name: wanted.Name}, h.at(100), h.at(540),
		query.FleetPage{View: query.AllMachines(), Limit: 10},
	)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(window.Usages, func(u query.Usage) bool {
		return u.MachineID == "b" && u.PID == wanted.PID && u.StartedAt == wanted.StartedAt
	}) {
		t.Errorf("%v is not among %d that ran in the window", wanted.ProcessKey, len(window.Usages))
	}
}

func testMachineChart(t *testing.T, s *store.Store, _ *pgx.Conn, h history) {
	for _, resolution := range []query.Resolution{query.ResolutionRaw, query.ResolutionMinute, query.ResolutionHour,
		query.ResolutionThreeHours, query.ResolutionDay} {
		chart, more, err := s.Chart(t.Context(), "a", h.at(-1), h.at(540), resolution, 1000)
		if err != nil || more {
			t.Fatalf("%s: more %v, %v", resolution, more, err)
		}
		type sum struct {
			n                  int64
			cpu, most, counted float64
			received           int64
		}
		want := make(map[snapshot.Time]*sum)
		for i := range h.series["a"].Snapshots {
			one := &h.series["a"].Snapshots[i]
			at := one.Timestamp
			if width := resolution.Width(); width > 0 {
				at = bucketOf(at, width)
			}
			if want[at] == nil {
				want[at] = &sum{}
			}
			w := want[at]
			w.n++
			w.cpu += *one.Machine.CPUUsage
			w.most = max(w.most, *one.Machine.CPUUsage)
			w.counted += float64(len(h.series["a"].Expected[i]))
			w.received += *one.Machine.Interfaces[0].ReceivedBytes
		}
		if len(chart.Timestamps) != len(want) {
			t.Errorf("%s: %d points, want %d", resolution, len(chart.Timestamps), len(want))
		}
		for i, at := range chart.Timestamps {
			w := want[at]
			if w == nil || chart.Samples[i] != w.n || math.Abs(*chart.CPUUsageAvg[i]-w.cpu/float64(w.n)) > 1e-3 ||
				*chart.CPUUsageMax[i] != w.most ||
				math.Abs(*chart.ProcessCountAvg[i]-w.counted/float64(w.n)) > 1e-3 ||
				*chart.ReceivedBytes[i] != w.received {
				t.Errorf("%s at %s: the chart differs from %+v", resolution, at, w)
			}
		}
	}
}

// The views for psql and Grafana agree with the queries.
func testViews(t *testing.T, s *store.Store, conn *pgx.Conn, h history) {
	for _, step := range []int{0, 5, 81, 539} {
		rows, err := conn.Query(
			t.Context(),
			`SELECT pid, started_at, ppid, name, command_line, user_name, coalesce(state, ''), (cpu_ms * 1000)::bigint,
				memory_usage, threads, read_bytes, write_bytes, open_files, cgroup
			FROM process_at('a', $1)`,
			h.at(step).Add(3*time.Second).Std(),
		)
		if err != nil {
			t.Fatal(err)
		}
		list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (snapshot.Process, error) {
			var p snapshot.Process
			var started time.Time
			err := row.Scan(
				&p.PID, &started, &p.PPID, &p.Name, &p.CommandLine, &p.User, &p.State, &p.CPUTime, &p.MemoryUsage,
				&p.Threads, &p.ReadBytes, &p.WriteBytes, &p.OpenFiles, &p.Cgroup,
			)
			p.StartedAt = snapshot.TimeOf(started)
			return p, err
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := snapshottest.Diff(list, h.series["a"].Expected[step]); diff != "" {
			t.Errorf("step %d: %s", step, diff)
		}
	}
	list, window, err := s.Top(
		t.Context(), query.UsageQuery{MachineID: "a", From: h.at(-1), To: h.at(540), Order: query.ByCPU, Limit: 5},
	)
	if err != nil {
		t.Fatal(err)
	}
	var spent, sample float64
	if err := conn.QueryRow(t.Context(), `SELECT cpu_ms FROM process_top('a', $1, $2) LIMIT 1`, window.From.Std(),
		window.To.Std()).Scan(&spent); err != nil || spent != list[0].CPUTime.Milliseconds() {
		t.Errorf("the first of process_top spent %v, want %d µs (%v)", spent, *list[0].CPUTime, err)
	}
	for _, schema := range []string{"", "history."} {
		var total snapshot.CPUTime
		var rounded float64
		if err := conn.QueryRow(t.Context(), `SELECT sum(cpu_us), sum(cpu_ms) FROM `+schema+`process_history
				WHERE machine_id = 'a' AND pid = $1 AND started_at = $2`, list[0].PID, list[0].StartedAt.Std()).
			Scan(&total, &rounded); err != nil || total != *list[0].CPUTime || math.Abs(rounded-spent) > 1e-6 {
			t.Errorf("%sprocess_history says %d µs and %v ms, want %v ms (%v)", schema, total, rounded, spent, err)
		}
	}
	if err := conn.QueryRow(t.Context(), `SELECT round(sum(cpu_ms)::numeric, 3)::float8 FROM history.process_samples s
			JOIN processes p ON p.id = s.process JOIN machines m ON m.id = s.machine
			WHERE m.machine_id = 'a' AND pid = $1 AND started_at = $2`, list[0].PID, list[0].StartedAt.Std()).
		Scan(&sample); err != nil || sample != spent {
		t.Errorf("history.process_samples says %v ms, want %v (%v)", sample, spent, err)
	}
}

func testStorage(t *testing.T, s *store.Store, _ *pgx.Conn, h history) {
	st, err := s.Storage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := int64(0)
	for _, series := range h.series {
		for _, list := range series.Expected {
			want += int64(len(list))
		}
	}
	if st.ProcessSamples != want {
		t.Errorf("%d process samples, want %d", st.ProcessSamples, want)
	}
	for _, relation := range append(slices.Clone(backend.Series), "processes", "machines") {
		if !slices.ContainsFunc(
			st.Relations, func(r backend.RelationSize) bool { return r.Relation == relation && r.Bytes > 0 },
		) {
			t.Errorf("%s has no size", relation)
		}
	}
	if st.Bytes == 0 || st.BytesPerSample == 0 || st.Oldest != h.at(0) {
		t.Errorf("%+v", st)
	}
}
