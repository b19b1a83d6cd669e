package query_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// The ways in which short-lived processes are stored: in lists is that of earlier versions, and of processes with
// values that the series does not have.
const (
	inLists  = "in-lists"
	inSeries = "in-series"
)

// shortLivedTest has a machine that is stored in both ways. All queries must have the same results.
type shortLivedTest struct {
	*shortLivedMachine
	s *store.Store
}

// Queries have the same results whether short-lived processes are stored in their own series or as other processes.
func TestShortLivedProcessesAreReadAsOthers(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		begin := snapshot.TimeOf(time.Now().UTC().Truncate(24 * time.Hour).Add(-27*time.Hour + 20*time.Minute))
		m := newShortLivedMachine(1, begin, 420)
		s := db.Open(t, nil)
		for machineID, list := range map[string][]snapshot.Snapshot{
			inLists: storetest.WithOpenFiles(m.snapshots), inSeries: m.snapshots,
		} {
			if _, err := s.Register(t.Context(), &snapshot.Machine{MachineID: machineID, CPUCount: 64}); err != nil {
				t.Fatal(err)
			}
			if err := s.Configure(t.Context(), machineID, store.ConfigChange{Tags: &[]string{machineID}}); err != nil {
				t.Fatal(err)
			}
			for part := range slices.Chunk(list, 100) {
				storetest.Write(t, s, machineID, part...)
			}
		}
		conn := storetest.Connect(t, db.URL)
		var rows int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM short_lived`).Scan(&rows); err != nil ||
			rows < len(m.processes)*3/4 {
			t.Fatalf("%d of %d processes are in the series, %v", rows, len(m.processes), err)
		}
		test := shortLivedTest{m, s}
		run := func(stage string) {
			t.Run(stage, func(t *testing.T) {
				t.Run("top", test.top)
				t.Run("names", test.names)
				t.Run("diff", test.diff)
				t.Run("process", test.process)
				t.Run("find", test.find)
				t.Run("nearest", test.nearest)
				t.Run("name history", test.nameHistory)
				t.Run("snapshots", test.replay)
			})
		}
		run("fresh")
		storetest.RefreshAll(t, db, test.s)
		run("rolled up")
		if db.Detection.Profile == backend.Timescale {
			storetest.CompressAll(t, conn)
			run("compressed")
			return
		}
		if err := s.MaintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		var batches int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM short_lived_batches`).Scan(&batches); err != nil ||
			batches > 4 {
			t.Fatalf("%d rows are left of two hours, %v", batches, err)
		}
		run("merged")
	})
}

// compare calls a query for both ways, and compares the results as texts.
func (test shortLivedTest) compare(
	t *testing.T, what string, read func(machineID string) (any, error),
) {
	t.Helper()
	var texts [2]string
	for i, machineID := range []string{inLists, inSeries} {
		result, err := read(machineID)
		if err != nil {
			t.Fatalf("%s: %s: %v", what, machineID, err)
		}
		text, err := json.MarshalIndent(result, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = strings.ReplaceAll(string(text), `"`+machineID+`"`, `"machine"`)
	}
	if texts[0] == texts[1] {
		return
	}
	a, b := strings.Split(texts[0], "\n"), strings.Split(texts[1], "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			from := max(0, i-25)
			t.Fatalf("%s differs at line %d:\nlisted: %s\nshort-lived: %s", what, i,
				strings.Join(a[from:min(len(a), i+8)], "\n"), strings.Join(b[from:min(len(b), i+8)], "\n"))
		}
	}
	t.Fatalf("%s: short-lived has %d more lines", what, len(b)-len(a))
}

// roundUsages sorts usages by all that two storages have in common, and rounds averages, which are sums of floats.
func roundUsages(list []query.Usage, order query.UsageOrder) []query.Usage {
	for i := range list {
		list[i].MachineID = ""
		if list[i].MemoryAvg != nil {
			list[i].MemoryAvg = new(math.Round(*list[i].MemoryAvg*10) / 10)
		}
	}
	value := func(u query.Usage) (int64, float64, int64) {
		known := func(v *int64) int64 {
			if v == nil {
				return -1
			}
			return *v
		}
		cpu, memory := known((*int64)(u.CPUTime)), -1.0
		if u.MemoryAvg != nil {
			memory = *u.MemoryAvg
		}
		if order == query.ByMemory {
			cpu = 0
		} else {
			memory = 0
		}
		return cpu, memory, known(u.MemoryMax)
	}
	slices.SortStableFunc(list, func(a, b query.Usage) int {
		cpuA, memoryA, maxA := value(a)
		cpuB, memoryB, maxB := value(b)
		return cmp.Or(cmp.Compare(cpuB, cpuA), cmp.Compare(memoryB, memoryA), cmp.Compare(maxB, maxA),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.PID, b.PID), cmp.Compare(a.StartedAt, b.StartedAt))
	})
	return list
}

func (test shortLivedTest) top(t *testing.T) {
	for i := range 24 {
		from, to := test.window()
		order := []query.UsageOrder{query.ByCPU, query.ByMemory}[i%2]
		limit := []int{5, 20, 10_000}[i%3]
		for _, fleet := range []bool{false, true} {
			what := fmt.Sprintf("top %d by %s from %s to %s, fleet %t", limit, order, from, to, fleet)
			test.compare(t, what, func(machineID string) (any, error) {
				q := query.UsageQuery{MachineID: machineID, From: from, To: to, Order: order, Limit: limit}
				if fleet {
					q.MachineID, q.View = "", query.View{Tags: []string{machineID}}
				}
				list, plan, err := test.s.Top(t.Context(), q)
				if limit < 10_000 {
					list = withoutTies(list, order)
				}
				return []any{plan.From, plan.To, roundUsages(list, order)}, err
			})
		}
	}
}

// withoutTies leaves out the usages at the end of a list that are as high as the last one: others can be, too.
func withoutTies(list []query.Usage, order query.UsageOrder) []query.Usage {
	if len(list) == 0 {
		return list
	}
	last := list[len(list)-1]
	return slices.DeleteFunc(list, func(u query.Usage) bool {
		if order == query.ByMemory {
			return deref(u.MemoryAvg) == deref(last.MemoryAvg)
		}
		return deref(u.CPUTime) == deref(last.CPUTime)
	})
}

func (test shortLivedTest) names(t *testing.T) {
	for i := range 20 {
		from, to := test.window()
		order := []query.UsageOrder{query.ByCPU, query.ByMemory}[i%2]
		for _, fleet := range []bool{false, true} {
			what := fmt.Sprintf("names by %s from %s to %s, fleet %t", order, from, to, fleet)
			test.compare(t, what, func(machineID string) (any, error) {
				q := query.UsageQuery{MachineID: machineID, From: from, To: to, Order: order, ByName: true, Limit: 100}
				if fleet {
					q.MachineID, q.View = "", query.View{Tags: []string{machineID}}
				}
				list, plan, err := test.s.Top(t.Context(), q)
				return []any{plan.From, plan.To, roundUsages(list, order)}, err
			})
		}
	}
}

func (test shortLivedTest) diff(t *testing.T) {
	for range 16 {
		from, to := test.window()
		from, to = max(from, test.snapshots[0].Timestamp), max(to, test.snapshots[0].Timestamp)
		test.compare(t, fmt.Sprintf("comparison of %s and %s", from, to), func(machineID string) (any, error) {
			diff, err := test.s.Diff(t.Context(), machineID, from, to, 10_000)
			if err != nil {
				return nil, err
			}
			if machineID == inSeries {
				var passed int64
				for _, change := range diff.Changes {
					if change.Before == nil && change.After == nil {
						passed++
					}
				}
				if diff.UnlistedShortLived != 0 || diff.ShortLived.Processes > passed {
					t.Errorf("%s to %s: %+v, %d unlisted, want at most %d", from, to, diff.ShortLived,
						diff.UnlistedShortLived, passed)
				}
			}
			diff.ShortLived = query.ShortLivedTotal{}
			for i := range diff.Changes {
				if used := diff.Changes[i].Used; used != nil {
					roundUsages([]query.Usage{*used}, query.ByCPU)
					used.MachineID = ""
					if used.MemoryAvg != nil {
						used.MemoryAvg = new(math.Round(*used.MemoryAvg))
					}
				}
			}
			key := func(c query.Change) snapshot.ProcessKey {
				switch {
				case c.Before != nil:
					return c.Before.ProcessKey
				case c.After != nil:
					return c.After.ProcessKey
				}
				return c.Used.ProcessKey
			}
			slices.SortFunc(diff.Changes, func(a, b query.Change) int {
				return cmp.Or(cmp.Compare(key(a).PID, key(b).PID), cmp.Compare(key(a).StartedAt, key(b).StartedAt))
			})
			return diff, nil
		})
	}
}

func (test shortLivedTest) process(t *testing.T) {
	for i := 0; i < len(test.processes); i += 53 {
		one := &test.processes[i]
		for k, resolution := range []query.Resolution{
			query.ResolutionRaw, query.ResolutionHour, query.ResolutionThreeHours, query.ResolutionDay,
		} {
			from, to := test.window()
			if k%2 == 0 && one.StartedAt != 0 {
				from, to = one.StartedAt-1000, one.StartedAt.Add(3*time.Minute)
			}
			what := fmt.Sprintf("process %d of %s, from %s to %s by %s", one.PID, one.StartedAt, from, to, resolution)
			test.compare(t, what, func(machineID string) (any, error) {
				lifetime, err := test.s.ProcessLifetime(t.Context(), machineID, one.PID, one.StartedAt)
				if err != nil {
					return nil, err
				}
				points, more, err := test.s.ProcessHistory(
					t.Context(), machineID, lifetime, from, to, resolution, 100)
				return []any{lifetime, points, len(points), more}, err
			})
		}
	}
	last := test.snapshots[len(test.snapshots)-1].Timestamp
	for i := len(test.processes) - 10; i < len(test.processes); i++ {
		if one := &test.processes[i]; one.StartedAt > last.Add(-50*time.Minute) {
			test.compare(t, fmt.Sprintf("newest process %d", one.PID), func(machineID string) (any, error) {
				return test.s.ProcessLifetime(t.Context(), machineID, one.PID, 0)
			})
		}
	}
	for _, machineID := range []string{inLists, inSeries} {
		_, err := test.s.ProcessLifetime(t.Context(), machineID, 5_000_000, last)
		if !errors.Is(err, query.ErrNoProcess) {
			t.Errorf("%s: an unknown process: %v", machineID, err)
		}
	}
}

// matches returns conditions of searches.
func (test shortLivedTest) matches(t *testing.T) []query.Match {
	t.Helper()
	list := []query.Match{
		{Name: "sh"}, {Name: "cc1"}, {Name: "100%"}, {Name: "nothing"}, {Text: "SED"}, {Text: "%"}, {Command: "%s"},
		{Command: "0%"}, {Command: "graph_heap.c"}, {Command: "/tmp/cc"}, {Command: "*/tmp/cc??????.s"},
		{Command: "*.conf"}, {Command: "token * "}, {Text: "X"}, {Text: "ž", Name: "sed"}, {Command: "cat*"},
		{Name: "bash", Command: "echo"}, {Command: "*[?]*"},
	}
	for range 10 { // random parts
		line := test.commandLines[test.rng.IntN(len(test.commandLines))]
		if len(line) > 8 && !strings.Contains(line, "Ž") {
			at := test.rng.IntN(len(line) - 6)
			list = append(list, query.Match{Command: line[at : at+3+test.rng.IntN(4)]})
		}
	}
	for _, text := range []string{"ok", "failed", "signal", "code:2", "signal:KILL"} {
		exit, err := query.ParseExitFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, query.Match{Exit: exit}, query.Match{Name: "sh", Exit: exit})
	}
	return list
}

func (test shortLivedTest) find(t *testing.T) {
	for i, match := range test.matches(t) {
		from, to := test.window()
		what := fmt.Sprintf("search %d for %+v from %s to %s", i, match, from, to)
		test.compare(t, what, func(machineID string) (any, error) {
			found, err := test.s.FleetWindow(t.Context(), match, from, to,
				query.FleetPage{View: query.View{Tags: []string{machineID}}, Limit: 10})
			return []any{found.Window.From, found.Window.To, found.Truncated, found.Next,
				roundUsages(found.Usages, query.ByCPU)}, err
		})
	}
}

// nearest checks that the found processes are as near. Of several that ran at the same time, one is selected, and the
// result is a snapshot that has it, so it can be nearer.
func (test shortLivedTest) nearest(t *testing.T) {
	for i, match := range test.matches(t) {
		from, to := test.window()
		if i%2 == 0 {
			to = from
		}
		var times [2][2]snapshot.Time
		for k, machineID := range []string{inLists, inSeries} {
			before, after, err := test.s.Nearest(
				t.Context(), match, from, to, query.View{Tags: []string{machineID}})
			if err != nil {
				t.Fatal(err)
			}
			if before != nil {
				times[k][0] = before.Timestamp
			}
			if after != nil {
				times[k][1] = after.Timestamp
			}
		}
		want, got := times[0], times[1]
		if got[0] < want[0] || got[0].Sub(want[0]) > 3*time.Minute || got[1] > want[1] ||
			want[1].Sub(got[1]) > 3*time.Minute {
			t.Errorf("nearest %d to %+v from %s to %s: %s, want %s", i, match, from, to, got, want)
		}
	}
}

func (test shortLivedTest) nameHistory(t *testing.T) {
	for _, name := range []string{"sh", "bash", "cc1", "sed", "100%"} {
		for _, resolution := range []query.Resolution{
			query.ResolutionMinute, query.ResolutionHour, query.ResolutionThreeHours, query.ResolutionDay,
		} {
			from, to := test.window()
			if resolution == query.ResolutionMinute {
				to = min(to, from.Add(2*time.Hour))
			}
			for _, fleet := range []bool{false, true} {
				what := fmt.Sprintf("history of %s from %s to %s by %s, fleet %t", name, from, to, resolution, fleet)
				test.compare(t, what, func(machineID string) (any, error) {
					view, id := query.AllMachines(), machineID
					if fleet {
						view, id = query.View{Tags: []string{machineID}}, ""
					}
					history, err := test.s.NameHistory(t.Context(), view, id, name, from, to, resolution, 1000)
					for i := range history.Points {
						if p := &history.Points[i]; p.MemoryAvg != nil {
							p.MemoryAvg = new(math.Round(*p.MemoryAvg))
						}
					}
					return history, err
				})
			}
		}
	}
}

func (test shortLivedTest) replay(t *testing.T) {
	for i := 0; i < len(test.snapshots); i += 37 {
		at := test.snapshots[i].Timestamp
		test.compare(t, fmt.Sprintf("the snapshot of %s", at), func(machineID string) (any, error) {
			state, err := test.s.At(t.Context(), machineID, at, true)
			return state, err
		})
	}
}
