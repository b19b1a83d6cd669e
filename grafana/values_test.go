package grafana_test

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// get reads a response of the API into v.
func (f *fleet) get(t testing.TB, path string, v any) {
	t.Helper()
	if err := json.Unmarshal(f.site.Get(t, "/api/v1"+path), v, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
}

// panelResult runs the query of a panel.
func (f *fleet) panelResult(
	t testing.TB, name, title string, span time.Duration, given map[string]string,
) (table, scope) {
	t.Helper()
	d := dashboards(t)[name]
	s := f.scopeOf(t, &d, span, given)
	for _, p := range d.Panels {
		if p.Title == title {
			return f.query(t, s.expand(t, s.interpolate(t, p.Targets[0].RawSQL))), s
		}
	}
	t.Fatalf("%s has no panel %s", name, title)
	return table{}, s
}

// widths are the widths of buckets by resolution.
var widths = map[string]time.Duration{"1m": time.Minute, "1h": time.Hour, "3h": 3 * time.Hour, "1d": day}

// lineResult runs the query of a panel with lines, and returns the rows that have a value. It fails the test if a line
// has no row for a bucket of the time range, because Grafana would connect the points before and after it.
func (f *fleet) lineResult(
	t testing.TB, name, title string, span time.Duration, given map[string]string,
) (table, scope) {
	t.Helper()
	shown, s := f.panelResult(t, name, title, span, given)
	resolution := "resolution"
	if name == "processes" {
		resolution = "process_resolution"
	}
	width := widths[s.variables[resolution]]
	buckets := make(map[any][]time.Time)
	isEmpty := func(row map[string]any) bool {
		for column, value := range row {
			if column != "time" && column != "metric" && value != nil {
				return false
			}
		}
		return true
	}
	for _, row := range shown.rows {
		buckets[row["metric"]] = append(buckets[row["metric"]], row["time"].(time.Time).UTC())
	}
	var want []time.Time
	for at := s.from.UTC().Truncate(width); at.Before(s.to); at = at.Add(width) {
		want = append(want, at)
	}
	for metric, got := range buckets {
		if !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Errorf("%s of %s: the line %v has %d buckets from %s to %s, want %d from %s to %s", title, span, metric,
				len(got), got[0], got[len(got)-1], len(want), want[0], want[len(want)-1])
		}
	}
	shown.rows = slices.DeleteFunc(shown.rows, isEmpty)
	return shown, s
}

func number(t testing.TB, v any) float64 {
	t.Helper()
	switch v := v.(type) {
	case nil:
		return math.NaN()
	case float64:
		return v
	case int64:
		return float64(v)
	case int32:
		return float64(v)
	case pgtype.Numeric:
		f, err := v.Float64Value()
		if err != nil {
			t.Fatal(err)
		}
		return f.Float64
	}
	t.Fatalf("%T is not a number", v)
	return 0
}

// same compares two values with a tolerance, because the API rounds to thousandths.
func same(a, b float64) bool {
	return a == b || math.Abs(a-b) <= max(0.000501, 1e-12*math.Abs(a)) || math.IsNaN(a) && math.IsNaN(b)
}

func window(s scope) string {
	return "from=" + url.QueryEscape(snapshot.TimeOf(s.from).String()) +
		"&to=" + url.QueryEscape(snapshot.TimeOf(s.to).String())
}

// chartsAgree compares the panels of a machine with its chart, point by point.
func (f *fleet) chartsAgree(t *testing.T) {
	for span, resolution := range map[time.Duration]string{
		4 * time.Hour: "1m", 6 * time.Hour: "1m", 7 * day: "1h", 300 * day: "1d",
	} {
		for title, columns := range map[string]map[string]string{
			"CPU":  {"average": "cpu_usage_avg", "maximum": "cpu_usage_max"},
			"Load": {"1 min": "load1_avg", "5 min": "load5_avg", "15 min": "load15_avg", "maximum": "load1_max"},
			"Memory": {
				"used": "used_ram_avg", "max used": "used_ram_max", "min available": "available_ram_min",
				"total": "total_ram",
			},
			"Disk space": {"used": "used_disk_avg", "min available": "available_disk_min", "total": "total_disk"},
			"Processes":  {"average": "process_count_avg", "maximum": "process_count_max"},
			"Cache and shared memory": {
				"cache": "cached_ram_avg", "shared": "shared_ram_avg", "buffers": "buffers_ram_avg",
				"slab": "slab_ram_avg",
			},
		} {
			shown, s := f.lineResult(t, "machine", title, span, map[string]string{"machine": "m-2"})
			var chart struct {
				Resolution string
				Series     map[string][]any
			}
			f.get(t, "/machines/m-2/metrics?resolution="+resolution+"&"+window(s), &chart)
			at := make(map[string]int)
			for i, text := range chart.Series["timestamps"] {
				at[text.(string)] = i
			}
			if len(shown.rows) == 0 || s.variables["resolution"] != resolution {
				t.Errorf("%s of %s: %d rows, resolution %s", title, span, len(shown.rows), s.variables["resolution"])
			}
			if len(shown.rows) != len(at) {
				t.Errorf("%s of %s: %d rows, the API has %d buckets", title, span, len(shown.rows), len(at))
			}
			for _, row := range shown.rows {
				i, ok := at[snapshot.TimeOf(row["time"].(time.Time)).String()]
				if !ok {
					t.Fatalf("%s of %s: the API has no bucket %s", title, span, row["time"])
				}
				for column, field := range columns {
					values, ok := chart.Series[field]
					if !ok {
						t.Fatalf("the API has no %s", field)
					}
					want, _ := values[i].(float64)
					if got := number(t, row[column]); !same(got, want) {
						t.Errorf(
							"%s of %s at %s: %s is %v, the API has %v", title, span, row["time"], column, got, want,
						)
					}
				}
			}
		}
	}
}

type used struct {
	PID       int32            `json:"pid"`
	StartedAt snapshot.Time    `json:"started_at"`
	Name      string           `json:"name"`
	Processes int64            `json:"processes"`
	CPUTime   snapshot.CPUTime `json:"cpu_ms"`
	MemoryAvg float64          `json:"memory_avg"`
	MemoryMax int64            `json:"memory_max"`
}

func (f *fleet) topAgrees(t *testing.T) {
	for _, one := range []struct{ page, title, sort string }{
		{"machine", "Processes by CPU", "cpu"},
		{"processes", "Processes by CPU", "cpu"},
		{"processes", "Processes by memory", "memory"},
	} {
		shown, s := f.panelResult(t, one.page, one.title, 7*day, map[string]string{"machine": "m-1"})
		var top struct{ Results []used }
		f.get(t, "/machines/m-1/processes?limit=1000&sort="+one.sort+"&"+window(s), &top)
		if len(shown.rows) < 12 || len(top.Results) < len(shown.rows) {
			t.Fatalf("%s: %d rows, the API has %d", one.title, len(shown.rows), len(top.Results))
		}
		find := make(map[string][]used) // pids are reused, by processes of the same name too
		for _, u := range top.Results {
			find[fmt.Sprint(u.PID, u.Name)] = append(find[fmt.Sprint(u.PID, u.Name)], u)
		}
		for i, row := range shown.rows {
			lives := find[fmt.Sprint(row["pid"], row["name"])]
			started, known := row["started_at"].(time.Time)
			found := slices.IndexFunc(lives, func(u used) bool {
				return (!known || snapshot.TimeOf(started) == u.StartedAt) &&
					same(number(t, row["cpu_seconds"]), u.CPUTime.Milliseconds()/1000) &&
					math.Abs(number(t, row["memory_avg"])-u.MemoryAvg) <= 0.5 &&
					same(number(t, row["memory_max"]), float64(u.MemoryMax))
			})
			if found < 0 {
				t.Errorf("%s: %v, the API has %+v", one.title, row, lives)
				continue
			}
			want := lives[found]
			place := top.Results[i]
			agrees := one.sort == "cpu" && place.CPUTime == want.CPUTime ||
				one.sort == "memory" && place.MemoryAvg == want.MemoryAvg
			if i < 5 && !agrees {
				t.Errorf("%s: place %d has %v, the API %+v", one.title, i, row, place)
			}
		}
	}
}

func (f *fleet) programsAgree(t *testing.T) {
	shown, s := f.panelResult(t, "fleet", "Programs by CPU, all machines", 7*day, nil)
	var top struct{ Results []used }
	f.get(t, "/processes/top?by=name&limit=50&"+window(s), &top)
	find := make(map[string]used)
	for _, one := range top.Results {
		find[one.Name] = one
	}
	if len(shown.rows) != len(find) || len(find) < 3 {
		t.Fatalf("%d rows, the API has %d names", len(shown.rows), len(find))
	}
	for _, row := range shown.rows {
		want := find[row["name"].(string)]
		if !same(number(t, row["cpu_seconds"]), want.CPUTime.Milliseconds()/1000) ||
			!same(number(t, row["memory_max"]), float64(want.MemoryMax)) ||
			number(t, row["processes"]) != float64(want.Processes) {
			t.Errorf("%v, the API has %+v", row, want)
		}
	}
}

func (f *fleet) nameAgrees(t *testing.T) {
	name := f.series["m-3"].Expected[0][1].Name
	given := map[string]string{"machine": "m-3", "name": name}
	cpu, s := f.lineResult(t, "processes", "$name on this machine: CPU", 7*day, given)
	memory, _ := f.lineResult(t, "processes", "$name on this machine: memory per process", 7*day, given)
	var history struct {
		Resolution string
		Points     []struct {
			Timestamp snapshot.Time
			CPUTime   *snapshot.CPUTime `json:"cpu_ms"` // nil if the hour has only the machine's first snapshot
			MemoryAvg float64           `json:"memory_avg"`
			MemoryMax int64             `json:"memory_max"`
		}
	}
	f.get(t, "/machines/m-3/processes/history?resolution=1h&name="+url.QueryEscape(name)+"&"+window(s), &history)
	measured := f.measured(t, "m-3", s)
	if len(memory.rows) != len(history.Points) || len(history.Points) < 4 {
		t.Fatalf("%d rows, the API has %d points", len(memory.rows), len(history.Points))
	}
	coresAt := make(map[snapshot.Time]any)
	for _, row := range cpu.rows {
		coresAt[snapshot.TimeOf(row["time"].(time.Time))] = row["cores"]
	}
	for i, want := range history.Points {
		cores := coresAt[want.Timestamp]
		agrees := cores == nil
		if want.CPUTime != nil {
			agrees = cores != nil && same(number(t, cores), want.CPUTime.Milliseconds()/measured[want.Timestamp])
		}
		if !agrees || !memory.rows[i]["time"].(time.Time).Equal(want.Timestamp.Std()) {
			t.Errorf("%v and %v, the API has %+v", cores, memory.rows[i], want)
		}
		if math.Abs(number(t, memory.rows[i]["average"])-want.MemoryAvg) > 1 ||
			!same(number(t, memory.rows[i]["maximum"]), float64(want.MemoryMax)) {
			t.Errorf("%v, the API has %+v", memory.rows[i], want)
		}
	}
}

// measured returns the milliseconds that the snapshots of each hour of a machine cover.
func (f *fleet) measured(t *testing.T, machineID string, s scope) map[snapshot.Time]float64 {
	t.Helper()
	var chart struct {
		Series struct {
			Timestamps []snapshot.Time
			IntervalMS []float64 `json:"interval_ms"`
		}
	}
	f.get(t, "/machines/"+machineID+"/metrics?resolution=1h&"+window(s), &chart)
	all := make(map[snapshot.Time]float64)
	for i, at := range chart.Series.Timestamps {
		all[at] = chart.Series.IntervalMS[i]
	}
	return all
}

// A process that uses one core in the 105 s that were measured in an hour uses 1 core, not 105/3600.
func (f *fleet) oneCore(t *testing.T) {
	start, ppid := storetest.Recent(), int32(0)
	var batch []snapshot.Snapshot
	for i := 1; i <= 3; i++ {
		spent, memory := snapshot.CPUTime(35_000_000), int64(1<<20)
		batch = append(batch, snapshot.Snapshot{
			Timestamp: start.Add(time.Duration(i) * 35 * time.Second), Kind: snapshot.KindFull, IntervalMS: 35_000,
			Processes: []snapshot.ProcessSample{
				{PID: 7, PPID: &ppid, Name: "spin", CPUTime: &spent, MemoryUsage: &memory},
			},
		})
	}
	idle, started := int64(0), start.Add(35*time.Second)
	batch[1].Processes = append(batch[1].Processes, snapshot.ProcessSample{
		PID: 8, StartedAt: started, PPID: &ppid, Name: "job", CPUTime: new(snapshot.CPUTime), MemoryUsage: &idle,
	})
	for _, machineID := range []string{"core-1", "core-2"} {
		if _, err := f.site.Store.Register(
			t.Context(), &snapshot.Machine{MachineID: machineID, Hostname: "core"},
		); err != nil {
			t.Fatal(err)
		}
		f.site.Post(t, machineID, batch)
	}
	given := map[string]string{"machine": "core-1", "name": "spin"}
	for _, title := range []string{"$name on this machine: CPU", "$name on all machines: CPU"} {
		for _, span := range []time.Duration{7 * day, 40 * day, 300 * day} {
			shown, _ := f.lineResult(t, "processes", title, span, given)
			if want := 1 + strings.Count(title, "all"); len(shown.rows) != want {
				t.Errorf("%s of %s: %d rows, want %d", title, span, len(shown.rows), want)
			}
			for _, row := range shown.rows {
				cores := row["cores"]
				if cores == nil {
					cores = row["value"]
				}
				if got := number(t, cores); got != 1 {
					t.Errorf("%s of %s: %v cores, want 1", title, span, got)
				}
			}
		}
	}
}

// A process that ran in one of three intervals counts as a third of a process, as in the API.
func (f *fleet) runningAtOnce(t *testing.T) {
	for _, span := range []time.Duration{7 * day, 40 * day, 300 * day} {
		shown, s := f.lineResult(
			t, "processes", "$name on all machines: processes", span, map[string]string{"name": "job"},
		)
		if len(shown.rows) != 2 {
			t.Errorf("%s: %d rows, want 2", span, len(shown.rows))
		}
		for _, row := range shown.rows {
			if got := number(t, row["value"]); !same(got, 1.0/3) {
				t.Errorf("%s: %v processes at once, want 1/3", span, got)
			}
		}
		var history struct {
			Points []struct {
				RunningAvg float64 `json:"running_avg"`
			}
		}
		resolution := s.variables["process_resolution"]
		f.get(t, "/machines/core-1/processes/history?name=job&resolution="+resolution+"&"+window(s), &history)
		if len(history.Points) != 1 || !same(history.Points[0].RunningAvg, 1.0/3) {
			t.Errorf("%s: the API has %+v", span, history.Points)
		}
	}
}

// Machines with the same host name have lines and choices of their own.
func (f *fleet) labelsDiffer(t *testing.T) {
	want := []string{"twin (0123abcd)", "twin (22222222-b)", "twin (9f86d081)"}
	for _, machineID := range []string{
		"0123abcd-4567-4abc-8def-0123456789ab", "22222222-b", "9f86d081884c7d659a2feaa0c55ad015",
	} {
		if _, err := f.site.Store.Register(
			t.Context(), &snapshot.Machine{MachineID: machineID, Hostname: "twin"},
		); err != nil {
			t.Fatal(err)
		}
		machine := snapshottest.NewMachine(3, 12) // runs programs with the same names as m-3
		series := machine.Series(
			snapshot.TimeOf(f.now.Add(-10*time.Minute).Truncate(time.Second)), 3, 30*time.Second, 4,
		)
		f.site.Post(t, machineID, series.Snapshots)
	}
	name := f.series["m-3"].Expected[0][1].Name
	choices := f.choices(t, "machine", "machine")
	lines := func(dashboard, title string) table {
		shown, _ := f.lineResult(t, dashboard, title, 6*time.Hour, map[string]string{"name": name})
		return shown
	}
	for what, shown := range map[string]table{
		"choices": choices, "CPU": lines("fleet", "CPU"), "name": lines("processes", "$name on all machines: CPU"),
	} {
		var labels []string
		for _, row := range shown.rows {
			label := fmt.Sprint(row["metric"])
			if text, ok := row["__text"]; ok {
				label = fmt.Sprint(text)
			}
			if strings.HasPrefix(label, "twin") {
				labels = append(labels, label)
			}
		}
		slices.Sort(labels)
		if labels = slices.Compact(labels); !slices.Equal(labels, want) {
			t.Errorf("%s: %q, want %q", what, labels, want)
		}
	}
}

// choices returns the choices of a variable.
func (f *fleet) choices(t *testing.T, name, variable string) table {
	t.Helper()
	d := dashboards(t)[name]
	s := f.scopeOf(t, &d, 6*time.Hour, nil)
	for _, v := range d.Templating.List {
		if v.Name == variable {
			return f.query(t, s.expand(t, s.interpolate(t, v.Query)))
		}
	}
	t.Fatalf("%s has no variable %s", name, variable)
	return table{}
}

func (f *fleet) instantAgrees(t *testing.T) {
	shown, s := f.panelResult(
		t, "processes", "All processes at the end of the time range", 6*time.Hour, map[string]string{"machine": "m-2"},
	)
	var list struct {
		Timestamp snapshot.Time
		Processes []struct {
			PID         int32         `json:"pid"`
			StartedAt   snapshot.Time `json:"started_at"`
			Name        string
			CPUUsage    float64 `json:"cpu_usage"`
			MemoryUsage int64   `json:"memory_usage"`
		}
	}
	at := url.QueryEscape(snapshot.TimeOf(s.to).String())
	f.get(t, "/machines/m-2/at?process_tree=0&include_processes=1&time="+at, &list)
	if len(shown.rows) != len(list.Processes) || len(shown.rows) < 12 {
		t.Fatalf("%d rows, the API has %d processes", len(shown.rows), len(list.Processes))
	}
	find := make(map[string]map[string]any)
	for _, row := range shown.rows {
		find[fmt.Sprint(row["pid"], row["started_at"].(time.Time).UnixMilli())] = row
	}
	for _, want := range list.Processes {
		row := find[fmt.Sprint(want.PID, int64(want.StartedAt))]
		if row == nil || row["name"] != want.Name || math.Abs(number(t, row["cpu_usage"])-want.CPUUsage) > 0.01 ||
			!same(number(t, row["memory_usage"]), float64(want.MemoryUsage)) ||
			!row["snapshot_ts"].(time.Time).Equal(list.Timestamp.Std()) {
			t.Errorf("%v, the API has %+v", row, want)
		}
	}
}

func (f *fleet) fleetAgrees(t *testing.T) {
	shown, _ := f.panelResult(t, "fleet", "Machines", 6*time.Hour, nil)
	var list struct {
		Results []struct {
			MachineID    string `json:"machine_id"`
			Hostname     string
			ProcessCount float64       `json:"process_count"`
			LastSnapshot snapshot.Time `json:"last_snapshot"`
			Latest       struct {
				CPUUsage float64 `json:"cpu_usage"`
				UsedRAM  float64 `json:"used_ram"`
				TotalRAM float64 `json:"total_ram"`
				Fullest  float64 `json:"fullest_disk_usage"`
			}
		}
	}
	f.get(t, "/machines", &list)
	if len(shown.rows) != 3 || len(list.Results) != 3 {
		t.Fatalf("%d rows, the API has %d machines", len(shown.rows), len(list.Results))
	}
	for i, want := range list.Results {
		row := shown.rows[i]
		if row["machine_id"] != want.MachineID || row["hostname"] != want.Hostname ||
			number(t, row["processes"]) != want.ProcessCount ||
			!row["last_snapshot"].(time.Time).Equal(want.LastSnapshot.Std()) ||
			!same(number(t, row["cpu_usage"]), want.Latest.CPUUsage) ||
			!same(number(t, row["memory"]), 100*want.Latest.UsedRAM/want.Latest.TotalRAM) ||
			!same(number(t, row["disk"]), want.Latest.Fullest) {
			t.Errorf("%v, the API has %+v", row, want)
		}
	}
}
