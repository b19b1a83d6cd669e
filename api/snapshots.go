package api

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// SnapshotView is a snapshot in an answer.
type SnapshotView struct {
	MachineID       string                   `json:"machine_id"`
	Timestamp       snapshot.Time            `json:"timestamp" format:"date-time"`
	Kind            snapshot.Kind            `json:"kind" enum:"full,changes" doc:"How it is stored: as it was sent, but the first of an hour in full; the process list here is complete either way"`
	IntervalMS      int64                    `json:"interval_ms" doc:"Milliseconds that cpu_ms, cpu_usage and byte counts cover"`
	MachineSnapshot snapshot.MachineSnapshot `json:"machine_snapshot"`
	Processes       []snapshot.Process       `json:"processes,omitzero" required:"false" nullable:"false" doc:"With include_processes: every process, by pid"`
	ProcessTree     []*snapshot.Node         `json:"process_tree,omitzero" required:"false" nullable:"false" doc:"With process_tree: every process, nested under its parent"`
}

// With says what a snapshot in an answer comes with.
type ProcessOptions struct {
	ProcessTree bool     `query:"process_tree" doc:"With every process, nested under its parent, instead of a list"`
	Exclude     []string `query:"exclude,explode" maxItems:"100" doc:"Names of processes to leave out, may be repeated; in a tree their children take their place"`
}

func (w *ProcessOptions) snapshotView(state *snapshot.State, processes bool) SnapshotView {
	view := SnapshotView{
		MachineID:       state.MachineID,
		Timestamp:       state.Timestamp,
		Kind:            state.Kind,
		IntervalMS:      state.IntervalMS,
		MachineSnapshot: state.Machine,
	}
	switch {
	case w.ProcessTree:
		view.ProcessTree = snapshot.Prune(snapshot.Tree(state.Processes), w.Exclude)
	case processes:
		view.Processes = slices.DeleteFunc(
			state.Processes, func(p snapshot.Process) bool { return slices.Contains(w.Exclude, p.Name) },
		)
	}
	return view
}

type snapshotList struct {
	Body struct {
		Results    []SnapshotView `json:"results" nullable:"false" doc:"Oldest first"`
		NextCursor *string        `json:"next_cursor" doc:"Give it as cursor, with the same other parameters, to get the next page; null on the last"`
	}
}

// The most snapshots on a page, without and with their processes.
const (
	maxPage, defaultPage               = 1000, 100
	maxProcessPage, defaultProcessPage = 100, 20
)

func (a *API) registerSnapshots() {
	tags := []string{"snapshots"}
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "list-snapshots",
			Method:      http.MethodGet,
			Path:        "/api/v1/machines/{machine_id}/snapshots",
			Tags:        tags,
			Summary:     "Snapshots of a machine in a range of time; without a range, the latest",
		},
		a.listSnapshots,
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "get-machine-at",
			Method:      http.MethodGet,
			Path:        "/api/v1/machines/{machine_id}/at",
			Tags:        tags,
			Summary:     "What a machine was doing at an instant: its newest snapshot at or before it, with every process",
		},
		a.getSnapshotAt,
	)
}

type snapshotsInput struct {
	MachinePath
	ProcessOptions
	IncludeProcesses bool   `query:"include_processes" doc:"With every process of each snapshot"`
	Since            string `query:"since" maxLength:"20" example:"1h" doc:"The range from this long ago until now: a number and s, m, h, d or w"`
	From             string `query:"from" format:"date-time" doc:"Begin of the range"`
	To               string `query:"to" format:"date-time" doc:"End of the range, by default now"`
	Limit            int    `query:"limit" minimum:"1" maximum:"1000" doc:"Snapshots on a page: 100 by default, at most 1000; with processes 20 by default, at most 100"`
	Cursor           string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before"`
}

func (a *API) listSnapshots(ctx context.Context, in *snapshotsInput) (*snapshotList, error) {
	processes := in.IncludeProcesses || in.ProcessTree
	out := &snapshotList{}
	if in.Since == "" && in.From == "" && in.To == "" && in.Cursor == "" {
		state, err := a.store.At(ctx, in.MachineID, snapshot.TimeOf(a.cfg.Now()).Add(snapshot.MaxClockSkew), processes)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out.Body.Results = []SnapshotView{in.snapshotView(state, processes)}
		return out, nil
	}
	r, err := a.parseRange(in, processes)
	if err != nil {
		return nil, err
	}
	states, more, err := a.store.Snapshots(ctx, in.MachineID, r)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out.Body.Results = make([]SnapshotView, len(states))
	for i := range states {
		out.Body.Results[i] = in.snapshotView(&states[i], processes)
	}
	if more {
		cursor := encodeCursor(
			"snapshots", strconv.FormatInt(int64(states[len(states)-1].Timestamp+1), 10),
			strconv.FormatInt(int64(r.To), 10),
		)
		out.Body.NextCursor = &cursor
	}
	return out, nil
}

// rangeOf reads the range and the page of a request.
func (a *API) parseRange(in *snapshotsInput, processes bool) (query.Range, error) {
	r := query.Range{Processes: processes, Limit: in.Limit, To: snapshot.TimeOf(a.cfg.Now()).Add(snapshot.MaxClockSkew)}
	most, usual := maxPage, defaultPage
	if processes {
		most, usual = maxProcessPage, defaultProcessPage
	}
	if r.Limit == 0 {
		r.Limit = usual
	}
	if r.Limit > most {
		return r, invalid("limit", "must be at most %d with processes", most)
	}
	if in.Cursor != "" {
		var from, to string
		if err := decodeCursor(in.Cursor, "snapshots", &from, &to); err != nil {
			return r, err
		}
		fromMS, fromErr := strconv.ParseInt(from, 10, 64)
		toMS, toErr := strconv.ParseInt(to, 10, 64)
		if fromErr != nil || toErr != nil {
			return r, invalid("cursor", "is not a next_cursor of this list")
		}
		r.From, r.To = snapshot.Time(fromMS), snapshot.Time(toMS)
		return r, nil
	}
	if in.Since != "" {
		if in.From != "" || in.To != "" {
			return r, invalid("since", "cannot be given together with from or to")
		}
		since, err := parseSince(in.Since)
		if err != nil {
			return r, err
		}
		r.From = snapshot.TimeOf(a.cfg.Now().Add(-since))
		return r, nil
	}
	if in.From == "" {
		return r, invalid("from", "is required where to is given")
	}
	var err error
	if r.From, err = parseTime("from", in.From); err != nil {
		return r, err
	}
	if in.To != "" {
		if r.To, err = parseTime("to", in.To); err != nil {
			return r, err
		}
	}
	if r.From > r.To {
		return r, invalid("from", "must not be after to")
	}
	return r, nil
}

type snapshotAtInput struct {
	MachinePath
	ProcessOptions
	Time             string `query:"time" required:"true" format:"date-time" doc:"The instant"`
	IncludeProcesses bool   `query:"include_processes" default:"true" doc:"With every process"`
}

type snapshotAtResponse struct{ Body SnapshotView }

func (a *API) getSnapshotAt(ctx context.Context, in *snapshotAtInput) (*snapshotAtResponse, error) {
	at, err := parseTime("time", in.Time)
	if err != nil {
		return nil, err
	}
	processes := in.IncludeProcesses || in.ProcessTree
	state, err := a.store.At(ctx, in.MachineID, at, processes)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return &snapshotAtResponse{Body: in.snapshotView(state, processes)}, nil
}

var sincePattern = regexp.MustCompile(`^([1-9][0-9]{0,8})(s|m|h|d|w)$`)

// parseSince reads a length of time such as 30m, 3h or 1d.
func parseSince(text string) (time.Duration, error) {
	match := sincePattern.FindStringSubmatch(text)
	if match == nil {
		return 0, invalid("since", "must be a number and s, m, h, d or w, such as 30m")
	}
	n, err := strconv.Atoi(match[1])
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[match[2]]
	if err != nil || time.Duration(n) > maxSince/unit {
		return 0, invalid("since", "must be at most ten years")
	}
	return time.Duration(n) * unit, nil
}

// maxSince is past any retention.
const maxSince = 3653 * 24 * time.Hour

func parseTime(field, text string) (snapshot.Time, error) {
	t, err := snapshot.ParseTime(text)
	if err != nil {
		return 0, invalid(field, "%s", err)
	}
	// PostgreSQL's timestamps end before years of five digits matter to anyone.
	if year := t.Std().Year(); year < 1970 || year > 9999 {
		return 0, invalid(field, "must be of the years 1970 to 9999")
	}
	return t, nil
}

// invalid is a 422 that names the parameter.
func invalid(field, format string, args ...any) *problem.Problem {
	message := fmt.Sprintf(format, args...)
	p := problem.New(http.StatusUnprocessableEntity, "invalid_field", field+": "+message)
	p.Field = field
	p.Errors = []problem.Detail{{Field: field, Message: message}}
	return p
}
