package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// The default and maximum numbers of snapshots on a page, without and with processes.
const (
	defaultPage, maxPage               = 100, 1000
	defaultProcessPage, maxProcessPage = 20, 100
	// maxPageProcesses is how many processes the snapshots of a page have together, so that its size is bounded.
	maxPageProcesses = 20_000
)

// SnapshotView is a snapshot.
type SnapshotView struct {
	MachineID       string                   `json:"machine_id"`
	Timestamp       snapshot.Time            `json:"timestamp" format:"date-time"`
	Kind            snapshot.Kind            `json:"kind" enum:"full,changes" doc:"How the snapshot is stored. The processes here are complete either way"`
	IntervalMS      *int64                   `json:"interval_ms" doc:"Time that cpu_ms, cpu_usage and byte counts cover, in milliseconds; null if it is unknown, as after a gap"`
	MachineSnapshot snapshot.MachineSnapshot `json:"machine_snapshot" doc:"System metrics"`
	Processes       []snapshot.Process       `json:"processes,omitzero" required:"false" nullable:"false" doc:"With include_processes: every process, by PID"`
	ProcessTree     []*snapshot.Node         `json:"process_tree,omitzero" required:"false" nullable:"false" doc:"With process_tree: every process, nested under its parent"`
	Ended           *snapshot.EndedProcesses `json:"ended,omitempty" doc:"With processes: the processes that ended since the previous snapshot, whatever their names. They are not in the list"`
}

// ProcessOptions holds the query parameters that select the processes of a snapshot.
type ProcessOptions struct {
	ProcessTree bool     `query:"process_tree" doc:"Return the processes as a tree instead of a list"`
	Exclude     []string `query:"exclude,explode" maxItems:"100" doc:"Name of processes to leave out; may be repeated. In a tree, their children take their place"`
}

// snapshotView converts a snapshot. includeProcesses adds the list of processes, unless the tree is requested.
func (o *ProcessOptions) snapshotView(state *snapshot.State, includeProcesses bool) SnapshotView {
	view := SnapshotView{
		MachineID:       state.MachineID,
		Timestamp:       state.Timestamp,
		Kind:            state.Kind,
		IntervalMS:      knownInterval(state.IntervalMS),
		MachineSnapshot: state.Machine,
	}
	excluded := func(p snapshot.Process) bool { return slices.Contains(o.Exclude, p.Name) }
	switch {
	case o.ProcessTree:
		view.ProcessTree, view.Ended = snapshot.Prune(snapshot.Tree(state.Processes), o.Exclude), state.Ended
	case includeProcesses:
		view.Processes, view.Ended = slices.DeleteFunc(state.Processes, excluded), state.Ended
	}
	return view
}

// SnapshotAtView is the snapshot at a requested time.
type SnapshotAtView struct {
	SnapshotView
	RequestedTime snapshot.Time  `json:"requested_time" format:"date-time" doc:"The requested time. The snapshot is the last one at or before it"`
	AgeMS         int64          `json:"age_ms" doc:"requested_time minus timestamp, in milliseconds"`
	InGap         bool           `json:"in_gap" doc:"Whether the machine recorded nothing at requested_time. The snapshot is then from before a gap, and the state at requested_time is unknown"`
	NextTimestamp *snapshot.Time `json:"next_timestamp" format:"date-time" doc:"Timestamp of the first snapshot after requested_time; null if there is none"`
}

func snapshotAtView(view SnapshotView, at snapshot.Time, coverage *query.Coverage) SnapshotAtView {
	result := SnapshotAtView{
		SnapshotView: view, RequestedTime: at, AgeMS: int64(at - view.Timestamp), InGap: coverage.InGap,
	}
	if coverage.Next != 0 {
		result.NextTimestamp = &coverage.Next
	}
	return result
}

// SnapshotList is a page of snapshots.
type SnapshotList struct {
	Results    []SnapshotView `json:"results" nullable:"false" doc:"Snapshots, oldest first"`
	NextCursor *string        `json:"next_cursor" doc:"Cursor of the next page; null on the last page"`
}

type snapshotListInput struct {
	MachinePath
	ProcessOptions
	IncludeProcesses bool     `query:"include_processes" doc:"Whether to return the processes of each snapshot"`
	Since            string   `query:"since" maxLength:"20" example:"1h" doc:"Length of a window that ends now: a number and s, m, h, d or w"`
	From             timeText `query:"from" doc:"Start of the window. Snapshots at the start and at the end are included"`
	To               timeText `query:"to" doc:"End of the window. Default: now"`
	Limit            int      `query:"limit" minimum:"1" maximum:"1000" doc:"Maximum number of snapshots on a page. Default: 100, or 20 with processes. Maximum with processes: 100. Pages with more than 20,000 processes end earlier"`
	Cursor           string   `query:"cursor" maxLength:"2000" doc:"next_cursor of the previous page, with the same other parameters"`
}

type snapshotAtInput struct {
	MachinePath
	ProcessOptions
	Time             timeText `query:"time" required:"true" doc:"The time"`
	IncludeProcesses bool     `query:"include_processes" default:"true" doc:"Whether to return the processes"`
}

func (a *API) registerSnapshots() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/machines/{machine_id}/snapshots", "list-snapshots",
		tagSnapshots, "List a machine's snapshots",
		description("Without a time window, returns the latest snapshot.")), a.listSnapshots)
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/machines/{machine_id}/at", "get-machine-at", tagSnapshots,
		"Get a machine's snapshot at a time",
		description("Returns the last snapshot at or before the time, with every process. in_gap is true if the "+
			"machine recorded nothing at that time.")), a.getSnapshotAt)
}

func (a *API) listSnapshots(ctx context.Context, in *snapshotListInput) (*response[SnapshotList], error) {
	withProcesses := in.IncludeProcesses || in.ProcessTree
	if in.Since == "" && in.From == "" && in.To == "" && in.Cursor == "" {
		state, err := a.store.At(ctx, in.MachineID, a.latestTime(), withProcesses)
		if err != nil {
			return nil, a.problemOf(ctx, err)
		}
		latest := in.snapshotView(state, withProcesses)
		return &response[SnapshotList]{SnapshotList{Results: []SnapshotView{latest}}}, nil
	}
	page, err := a.parseRange(in, withProcesses)
	if err != nil {
		return nil, err
	}
	states, more, err := a.store.Snapshots(ctx, in.MachineID, page)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	list := SnapshotList{Results: views(states, func(state *snapshot.State) SnapshotView {
		return in.snapshotView(state, withProcesses)
	})}
	if more {
		next := states[len(states)-1].Timestamp + 1
		list.NextCursor = encodeInts("snapshots", int64(next), int64(page.To))
	}
	return &response[SnapshotList]{list}, nil
}

// latestTime returns the latest time that a snapshot can have. The clocks of machines may be ahead.
func (a *API) latestTime() snapshot.Time {
	return snapshot.TimeOf(a.cfg.Now()).Add(snapshot.MaxClockSkew)
}

// parseRange returns the time range and the limit of a page.
func (a *API) parseRange(in *snapshotListInput, withProcesses bool) (query.Range, error) {
	page := query.Range{Processes: withProcesses, Limit: in.Limit, MaxProcesses: maxPageProcesses}
	defaultLimit, maxLimit := defaultPage, maxPage
	if withProcesses {
		defaultLimit, maxLimit = defaultProcessPage, maxProcessPage
	}
	if page.Limit == 0 {
		page.Limit = defaultLimit
	}
	if page.Limit > maxLimit {
		return page, invalidField("limit", "must be at most %d with processes", maxLimit)
	}
	if in.Cursor != "" {
		return page, decodeInts(in.Cursor, "snapshots", (*int64)(&page.From), (*int64)(&page.To))
	}
	window := TimeWindow{Since: in.Since, From: in.From, To: in.To}
	var err error
	if page.From, page.To, err = window.bounds(a.cfg.Now(), a.latestTime()); err != nil {
		return page, err
	}
	if page.From > page.To {
		return page, invalidField("from", "must not be after to")
	}
	return page, nil
}

func (a *API) getSnapshotAt(ctx context.Context, in *snapshotAtInput) (*response[SnapshotAtView], error) {
	at, err := parseTime("time", in.Time)
	if err != nil {
		return nil, err
	}
	withProcesses := in.IncludeProcesses || in.ProcessTree
	state, coverage, err := a.store.AtWithCoverage(ctx, in.MachineID, at, withProcesses)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &response[SnapshotAtView]{snapshotAtView(in.snapshotView(state, withProcesses), at, &coverage)}, nil
}

// knownInterval returns an interval, nil if it is unknown.
func knownInterval(ms int64) *int64 {
	if ms == 0 {
		return nil
	}
	return &ms
}
