package api

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// ProcessChangeView is the change of a process between two times.
type ProcessChangeView struct {
	snapshot.ProcessKey
	snapshot.Identity
	IdentityBefore *snapshot.Identity `json:"identity_before,omitempty" doc:"Identity at from, if the process has another one at to"`

	CPUTime       *snapshot.CPUTime `json:"cpu_ms" doc:"CPU time used between the two times, in milliseconds, to the microsecond, without the snapshots in which it is unknown"`
	ReadBytes     *int64            `json:"read_bytes" doc:"Bytes read between the two times"`
	WriteBytes    *int64            `json:"write_bytes" doc:"Bytes written between the two times"`
	MemoryBefore  *int64            `json:"memory_before" doc:"Resident set size at from, in bytes; null if it is unknown or the process was not running"`
	MemoryAfter   *int64            `json:"memory_after" doc:"Resident set size at to, in bytes; null if it is unknown or the process was not running"`
	MemoryChange  *int64            `json:"memory_change" doc:"memory_after minus memory_before; 0 while the process was not running; null if one of them is unknown"`
	ThreadsBefore *int32            `json:"threads_before"`
	ThreadsAfter  *int32            `json:"threads_after"`
	ThreadsChange *int32            `json:"threads_change" doc:"threads_after minus threads_before; 0 while the process was not running; null if one of them is unknown"`

	// ExitStatus is only given for processes that do not run at the second time.
	snapshot.ExitStatus
}

type diffInput struct {
	MachinePath
	From  timeText `query:"from" required:"true" doc:"First time"`
	To    timeText `query:"to" required:"true" doc:"Second time"`
	Sort  string   `query:"sort" enum:"cpu,memory,threads" default:"memory" doc:"Order of the lists: CPU time used, or change of memory or threads"`
	Limit int      `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"Maximum length of each list"`
}

// MachineDiff compares the processes of a machine at two times.
type MachineDiff struct {
	From SnapshotAtView `json:"from" doc:"Snapshot at from, without processes"`
	To   SnapshotAtView `json:"to" doc:"Snapshot at to, without processes"`
	// SameSnapshot reports whether the machine has no snapshot after from until to.
	SameSnapshot bool `json:"same_snapshot" doc:"Whether from and to have the same snapshot, so that nothing can be compared"`

	UnseenProcesses  int64 `json:"unseen_processes" doc:"Upper bound of the processes and threads that started and ended between the two times and are in no snapshot, as far as the agent reported them"`
	DroppedSnapshots int64 `json:"dropped_snapshots" doc:"Number of snapshots between the two times that the agent reported as dropped"`

	UnknownCPUProcesses int `json:"unknown_cpu_processes" doc:"Number of processes that run at both times and have no known CPU time between them"`
	UnknownIOProcesses  int `json:"unknown_io_processes" doc:"Number of processes that run at both times and have no known number of bytes read or written between them"`

	Started        []ProcessChangeView `json:"started" nullable:"false" doc:"Processes that run at to but not at from"`
	Ended          []ProcessChangeView `json:"ended" nullable:"false" doc:"Processes that run at from but not at to"`
	Passed         []ProcessChangeView `json:"passed" nullable:"false" doc:"Processes that started and ended in between"`
	Grew           []ProcessChangeView `json:"grew" nullable:"false" doc:"Processes that run at both times and use more of sort at to. With sort=cpu: those that used CPU time between the two times"`
	Shrank         []ProcessChangeView `json:"shrank" nullable:"false" doc:"Processes that run at both times and use less of sort at to. With sort=cpu: none"`
	Active         []ProcessChangeView `json:"active" nullable:"false" doc:"Processes that run at both times, neither grew nor shrank, and used CPU time or did I/O between the two times. Those with the most CPU time are first"`
	Changed        []ProcessChangeView `json:"changed" nullable:"false" doc:"Processes that run at both times with another name, command line, user, parent or control group at to, as after exec. They can also be in another list"`
	ShortLived     ShortLivedTotalView `json:"short_lived" doc:"Sum of the processes that started and ended between two snapshots, all between the two times"`
	ShortLivedFrom *snapshot.Time      `json:"short_lived_from,omitempty" format:"date-time" doc:"Time from which passed has processes that started and ended between two snapshots. Earlier ones have expired and are only in short_lived and totals, by whole minutes. Absent if none have"`
	// Totals are the lengths of the lists without the limit.
	Totals    DiffTotals `json:"totals" doc:"Number of processes of each kind, with those beyond limit"`
	Truncated bool       `json:"truncated" doc:"Whether a list has only the first processes, because of limit"`
}

// ShortLivedTotalView is a sum of processes that started and ended between two snapshots.
type ShortLivedTotalView struct {
	Processes  int64             `json:"processes" doc:"Number of processes"`
	CPUTime    *snapshot.CPUTime `json:"cpu_ms" doc:"CPU time that they used, in milliseconds, to the microsecond, without the unknown ones; null if all are unknown"`
	ReadBytes  *int64            `json:"read_bytes" doc:"Bytes that they read, as cpu_ms"`
	WriteBytes *int64            `json:"write_bytes" doc:"Bytes that they wrote, as cpu_ms"`
	UnknownCPU int64             `json:"unknown_cpu_processes,omitzero" doc:"How many of them have unknown CPU time. Absent if there are none"`
	UnknownIO  int64             `json:"unknown_io_processes,omitzero" doc:"As unknown_cpu_processes, of read_bytes and write_bytes"`
}

// DiffTotals is the number of processes of each kind of change.
type DiffTotals struct {
	Started int `json:"started"`
	Ended   int `json:"ended"`
	Passed  int `json:"passed"`
	Grew    int `json:"grew"`
	Shrank  int `json:"shrank"`
	Active  int `json:"active"`
	Changed int `json:"changed"`
}

func (a *API) registerDiff() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/machines/{machine_id}/diff", "get-machine-diff",
		tagHistory, "Compare a machine's processes at two times",
		description("Lists the processes that started, ended, grew, shrank, changed their identity, or used CPU time "+
			"or I/O.")), a.getDiff)
}

func (a *API) getDiff(ctx context.Context, in *diffInput) (*response[MachineDiff], error) {
	from, err := parseTime("from", in.From)
	if err != nil {
		return nil, err
	}
	to, err := parseTime("to", in.To)
	if err != nil {
		return nil, err
	}
	if from > to {
		return nil, invalidField("from", "must not be after to")
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	diff, err := a.store.Diff(ctx, in.MachineID, from, to, in.Limit)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	view := machineDiff(diff, in.Sort, in.Limit)
	var options ProcessOptions
	for _, side := range []struct {
		at       snapshot.Time
		state    *snapshot.State
		coverage *query.Coverage
		view     *SnapshotAtView
	}{{from, &diff.From, &diff.FromCoverage, &view.From}, {to, &diff.To, &diff.ToCoverage, &view.To}} {
		*side.view = snapshotAtView(options.snapshotView(side.state, false), side.at, side.coverage)
	}
	return &response[MachineDiff]{view}, nil
}

// machineDiff returns a comparison without its two snapshots.
func machineDiff(diff *query.Diff, sort string, limit int) MachineDiff {
	view := MachineDiff{
		SameSnapshot:    diff.From.Timestamp == diff.To.Timestamp,
		UnseenProcesses: diff.UnseenProcesses, DroppedSnapshots: diff.DroppedSnapshots,
		ShortLived: ShortLivedTotalView(diff.ShortLived), ShortLivedFrom: timeOrNil(diff.ShortLivedFrom),
	}
	lists := map[snapshot.ChangeKind]*[]ProcessChangeView{
		snapshot.ChangeStarted:    &view.Started,
		snapshot.ChangeEnded:      &view.Ended,
		snapshot.ChangeShortLived: &view.Passed,
		snapshot.ChangeGrew:       &view.Grew,
		snapshot.ChangeShrank:     &view.Shrank,
	}
	all := append(slices.Collect(maps.Values(lists)), &view.Active, &view.Changed)
	for _, list := range all {
		*list = []ProcessChangeView{}
	}
	for i := range diff.Changes {
		change := processChangeView(&diff.Changes[i])
		if diff.Changes[i].Before != nil && diff.Changes[i].After != nil && !view.SameSnapshot {
			if change.CPUTime == nil {
				view.UnknownCPUProcesses++
			}
			if change.ReadBytes == nil || change.WriteBytes == nil {
				view.UnknownIOProcesses++
			}
		}
		switch list := lists[diff.Changes[i].Kind(change.difference(sort))]; {
		case list != nil:
			*list = append(*list, change)
		case valueOrZero(change.CPUTime) > 0 || change.io() > 0:
			view.Active = append(view.Active, change)
		}
		if change.IdentityBefore != nil {
			view.Changed = append(view.Changed, change)
		}
	}
	for _, list := range all {
		slices.SortFunc(*list, func(x, y ProcessChangeView) int {
			return cmp.Or(cmp.Compare(y.magnitude(sort), x.magnitude(sort)),
				cmp.Compare(valueOrZero(y.CPUTime), valueOrZero(x.CPUTime)), cmp.Compare(y.io(), x.io()),
				cmp.Compare(x.PID, y.PID), cmp.Compare(x.StartedAt, y.StartedAt))
		})
	}
	view.Totals = DiffTotals{
		Started: len(view.Started), Ended: len(view.Ended), Passed: len(view.Passed) + int(diff.UnlistedShortLived),
		Grew: len(view.Grew), Shrank: len(view.Shrank), Active: len(view.Active), Changed: len(view.Changed),
	}
	view.Truncated = diff.UnlistedShortLived > 0
	for _, list := range all {
		view.Truncated = view.Truncated || len(*list) > limit
		*list = (*list)[:min(len(*list), limit)]
	}
	return view
}

func processChangeView(change *query.Change) ProcessChangeView {
	var view ProcessChangeView
	if u := change.Used; u != nil {
		view.ProcessKey, view.Identity = u.ProcessKey, u.Identity
		view.CPUTime, view.ReadBytes, view.WriteBytes = u.CPUTime, u.ReadBytes, u.WriteBytes
		if change.After == nil {
			view.ExitStatus = u.Exit
		}
	}
	for _, process := range []*snapshot.Process{change.Before, change.After} {
		if process != nil {
			view.ProcessKey, view.Identity = process.ProcessKey, process.Identity
		}
	}
	if change.IdentityChanged() {
		view.IdentityBefore = &change.Before.Identity
	}
	if change.Before != nil {
		view.MemoryBefore, view.ThreadsBefore = change.Before.MemoryUsage, change.Before.Threads
	}
	if change.After != nil {
		view.MemoryAfter, view.ThreadsAfter = change.After.MemoryUsage, change.After.Threads
	}
	view.MemoryChange = changeOf(&change.ProcessChange, func(p *snapshot.Process) *int64 { return p.MemoryUsage })
	view.ThreadsChange = changeOf(&change.ProcessChange, func(p *snapshot.Process) *int32 { return p.Threads })
	return view
}

// changeOf returns the change of a value. It is 0 while the process does not run. The change is nil if the value is
// unknown.
func changeOf[T int32 | int64](change *snapshot.ProcessChange, value func(*snapshot.Process) *T) *T {
	var values [2]T
	for i, process := range []*snapshot.Process{change.Before, change.After} {
		if process == nil {
			continue
		}
		known := value(process)
		if known == nil {
			return nil
		}
		values[i] = *known
	}
	return new(values[1] - values[0])
}

// difference returns the change of the resource that the lists are sorted by. An unknown one is 0.
func (v *ProcessChangeView) difference(sort string) int64 {
	switch sort {
	case "cpu":
		return int64(valueOrZero(v.CPUTime))
	case "threads":
		return int64(valueOrZero(v.ThreadsChange))
	}
	return valueOrZero(v.MemoryChange)
}

// io returns the number of bytes read and written. Unknown ones are 0. Each may be math.MaxInt64.
func (v *ProcessChangeView) io() uint64 {
	return uint64(valueOrZero(v.ReadBytes)) + uint64(valueOrZero(v.WriteBytes))
}

func valueOrZero[T int32 | int64 | snapshot.CPUTime](v *T) T {
	if v == nil {
		return 0
	}
	return *v
}

// magnitude returns the absolute difference. The lists are sorted by it, and then by the use of CPU and I/O.
func (v *ProcessChangeView) magnitude(sort string) int64 {
	difference := v.difference(sort)
	return max(difference, -difference)
}
