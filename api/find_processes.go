package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

type findProcessesInput struct {
	TimeWindow
	Time    string `query:"time" format:"date-time" doc:"The instant; or else a window"`
	Name    string `query:"name" maxLength:"255" doc:"The whole name of the processes"`
	Command string `query:"command" maxLength:"1000" doc:"Part of their command line, in any case; with * (any text) or ? (any character) the whole of it"`
	Text    string `query:"text" maxLength:"1000" doc:"Part of their name or of their command line, as command is"`
	Limit   int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Most machines on a page"`
	Cursor  string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before, with the same other parameters"`
}

// ProcessMatchView is a machine on which the processes ran.
type ProcessMatchView struct {
	MachineID string             `json:"machine_id"`
	Hostname  string             `json:"hostname"`
	Timestamp *snapshot.Time     `json:"timestamp,omitempty" format:"date-time" doc:"At an instant: the snapshot that shows it"`
	Processes []snapshot.Process `json:"processes,omitzero" required:"false" nullable:"false" doc:"At an instant: the processes as they were"`
	Usages    []UsageView        `json:"usages,omitzero" required:"false" nullable:"false" doc:"In a window: what the processes used"`
}

type findProcessesResponse struct {
	Body struct {
		From       snapshot.Time      `json:"from" format:"date-time" doc:"Begin of what was looked at; of an instant the instant"`
		To         snapshot.Time      `json:"to" format:"date-time"`
		Results    []ProcessMatchView `json:"results" nullable:"false" doc:"By machine_id"`
		NextCursor *string            `json:"next_cursor" doc:"null on the last page. A page may be short, even empty, before the last"`
	}
}

func (a *API) registerFindProcesses() {
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "find-processes",
			Method:      http.MethodGet,
			Path:        "/api/v1/processes",
			Tags:        []string{"history"},
			Summary:     "Which machines ran a process, by name or command line, at an instant or in a window",
		},
		a.findProcesses,
	)
}

func (a *API) findProcesses(ctx context.Context, in *findProcessesInput) (*findProcessesResponse, error) {
	if in.Name == "" && in.Command == "" && in.Text == "" {
		return nil, invalid("name", "is required, or command or text")
	}
	page := query.FleetPage{View: viewOf(ctx), Limit: in.Limit}
	if in.Cursor != "" {
		if err := decodeCursor(in.Cursor, "processes", &page.After); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	match := query.Match{Name: in.Name, Command: in.Command, Text: in.Text}
	if in.Time == "" {
		return a.findInWindow(ctx, match, in, page)
	}
	if in.Since != "" || in.From != "" || in.To != "" {
		return nil, invalid("time", "cannot be given together with a window")
	}
	at, err := parseTime("time", in.Time)
	if err != nil {
		return nil, err
	}
	found, next, err := a.store.FleetAt(ctx, match, at, page)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := &findProcessesResponse{}
	out.Body.From, out.Body.To, out.Body.Results = at, at, make([]ProcessMatchView, len(found))
	for i := range found {
		out.Body.Results[i] = ProcessMatchView{
			MachineID: found[i].MachineID,
			Timestamp: &found[i].Timestamp,
			Processes: found[i].Processes,
		}
	}
	return a.addHostnames(ctx, out, next)
}

func (a *API) findInWindow(
	ctx context.Context, match query.Match, in *findProcessesInput, page query.FleetPage,
) (*findProcessesResponse, error) {
	from, to, err := in.window(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	list, window, next, err := a.store.FleetWindow(ctx, match, from, to, page)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := &findProcessesResponse{}
	out.Body.From, out.Body.To, out.Body.Results = window.From, window.To, []ProcessMatchView{}
	for i := range list {
		if n := len(out.Body.Results); n == 0 || out.Body.Results[n-1].MachineID != list[i].MachineID {
			out.Body.Results = append(out.Body.Results, ProcessMatchView{MachineID: list[i].MachineID})
		}
		last := &out.Body.Results[len(out.Body.Results)-1]
		last.Usages = append(last.Usages, usageView(&list[i], window))
	}
	return a.addHostnames(ctx, out, next)
}

// finish adds the machines' names and where the next page begins.
func (a *API) addHostnames(ctx context.Context, out *findProcessesResponse, next string) (*findProcessesResponse, error) {
	found := make([]string, len(out.Body.Results))
	for i := range found {
		found[i] = out.Body.Results[i].MachineID
	}
	names, err := a.store.Hostnames(ctx, found)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	for i := range found {
		out.Body.Results[i].Hostname = names[found[i]]
	}
	if next != "" {
		cursor := encodeCursor("processes", next)
		out.Body.NextCursor = &cursor
	}
	return out, nil
}
