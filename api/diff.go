package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// ChangeView is what became of one process between two instants.
type ProcessChangeView struct {
	snapshot.ProcessKey
	snapshot.Identity
	CPUMS         *int64 `json:"cpu_ms" doc:"CPU time it spent in between, milliseconds"`
	MemoryBefore  *int64 `json:"memory_before" doc:"Resident set size, bytes; null if it did not run then"`
	MemoryAfter   *int64 `json:"memory_after"`
	MemoryChange  int64  `json:"memory_change" doc:"After less before; what did not run, or is not known, counts as 0"`
	ThreadsBefore *int32 `json:"threads_before"`
	ThreadsAfter  *int32 `json:"threads_after"`
	ThreadsChange int32  `json:"threads_change"`
}

type diffInput struct {
	MachinePath
	From  string `query:"from" required:"true" format:"date-time" doc:"The first instant"`
	To    string `query:"to" required:"true" format:"date-time" doc:"The second"`
	Sort  string `query:"sort" enum:"cpu,memory,threads" default:"memory" doc:"What changed lists are ordered by: CPU time in between, or how much memory or threads changed"`
	Limit int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"Most entries of each list"`
}

type diffResponse struct {
	Body struct {
		From    SnapshotView        `json:"from" doc:"The snapshot that shows the first instant, without processes"`
		To      SnapshotView        `json:"to"`
		Started []ProcessChangeView `json:"started" nullable:"false" doc:"Run at the second instant alone"`
		Ended   []ProcessChangeView `json:"ended" nullable:"false" doc:"Ran at the first instant alone"`
		Passed  []ProcessChangeView `json:"passed" nullable:"false" doc:"Started and ended in between"`
		Grew    []ProcessChangeView `json:"grew" nullable:"false" doc:"Ran at both, and take more of what is sorted by (of CPU: spent any)"`
		Shrank  []ProcessChangeView `json:"shrank" nullable:"false" doc:"Ran at both, and take less of what is sorted by"`
	}
}

func (a *API) registerDiff() {
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "get-machine-diff",
			Method:      http.MethodGet,
			Path:        "/api/v1/machines/{machine_id}/diff",
			Tags:        []string{"history"},
			Summary:     "What is different between two instants of a machine: what started, ended, grew and shrank",
		},
		a.getDiff,
	)
}

func (a *API) getDiff(ctx context.Context, in *diffInput) (*diffResponse, error) {
	from, err := parseTime("from", in.From)
	if err != nil {
		return nil, err
	}
	to, err := parseTime("to", in.To)
	if err != nil {
		return nil, err
	}
	if from > to {
		return nil, invalid("from", "must not be after to")
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	diff, err := a.store.Diff(ctx, in.MachineID, from, to)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := &diffResponse{}
	var none ProcessOptions
	out.Body.From, out.Body.To = none.snapshotView(&diff.From, false), none.snapshotView(&diff.To, false)
	lists := map[snapshot.ChangeKind]*[]ProcessChangeView{
		snapshot.ChangeStarted:    &out.Body.Started,
		snapshot.ChangeEnded:      &out.Body.Ended,
		snapshot.ChangeShortLived: &out.Body.Passed,
		snapshot.ChangeGrew:       &out.Body.Grew,
		snapshot.ChangeShrank:     &out.Body.Shrank,
	}
	for _, list := range lists {
		*list = []ProcessChangeView{}
	}
	for i := range diff.Changes {
		view := changeView(&diff.Changes[i])
		if list := lists[diff.Changes[i].Kind(view.difference(in.Sort))]; list != nil {
			*list = append(*list, view)
		}
	}
	for _, list := range lists {
		slices.SortFunc(*list, func(x, y ProcessChangeView) int {
			return cmp.Or(
				cmp.Compare(y.weight(in.Sort), x.weight(in.Sort)), cmp.Compare(x.PID, y.PID),
				cmp.Compare(x.StartedAt, y.StartedAt),
			)
		})
		*list = (*list)[:min(len(*list), in.Limit)]
	}
	return out, nil
}

func changeView(change *query.Change) ProcessChangeView {
	var view ProcessChangeView
	if u := change.Used; u != nil {
		view.ProcessKey = snapshot.ProcessKey{PID: u.PID, StartedAt: u.StartedAt}
		view.Identity = snapshot.Identity{Name: u.Name, CommandLine: u.CommandLine, User: u.User}
		view.CPUMS = u.CPUMS
	}
	for _, one := range []*snapshot.Process{change.Before, change.After} {
		if one != nil {
			view.ProcessKey, view.Identity = one.ProcessKey, one.Identity
		}
	}
	if change.Before != nil {
		view.MemoryBefore, view.ThreadsBefore = change.Before.MemoryUsage, change.Before.Threads
	}
	if change.After != nil {
		view.MemoryAfter, view.ThreadsAfter = change.After.MemoryUsage, change.After.Threads
	}
	view.MemoryChange, view.ThreadsChange = change.MemoryChange(), change.ThreadsChange()
	return view
}

// difference is how much more it takes of what is sorted by.
func (v *ProcessChangeView) difference(sort string) int64 {
	switch sort {
	case "cpu":
		return zeroIfNil(v.CPUMS)
	case "threads":
		return int64(v.ThreadsChange)
	}
	return v.MemoryChange
}

// weight is what lists are ordered by, the most first.
func (v *ProcessChangeView) weight(sort string) int64 {
	difference := v.difference(sort)
	return max(difference, -difference)
}

func zeroIfNil[T int32 | int64](v *T) T {
	if v == nil {
		return 0
	}
	return *v
}
