package api

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// ProcessSearch holds the query parameters that select processes by name, command line or exit status, and by time.
type ProcessSearch struct {
	TimeWindow
	Time    timeText `query:"time" doc:"Search at this time instead of in a window"`
	Name    string   `query:"name" maxLength:"255" doc:"Exact name of the processes"`
	Command string   `query:"command" maxLength:"1000" doc:"Part of the command line, in any case. With * (any text) or ? (any character), a pattern of the whole command line. [*] and [?] are the characters themselves"`
	Text    string   `query:"text" maxLength:"1000" doc:"Part of the name or of the command line, or a pattern as in command"`
	Exit    string   `query:"exit" maxLength:"30" doc:"How the processes ended, also if it was after the searched time: ok (exit code 0), failed (another exit code, or a signal), signal (any signal), code:N, signal:N, or signal:NAME with a name such as KILL. Processes that run, or whose end is unknown, do not match"`
}

type findProcessesInput struct {
	ProcessSearch
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Maximum number of machines on a page"`
	Cursor string `query:"cursor" maxLength:"2000" doc:"next_cursor of the previous page, with the same other parameters"`
}

// match returns the processes that are searched for, or a problem if there is no condition.
func (in *ProcessSearch) match() (query.Match, error) {
	if in.Name == "" && in.Command == "" && in.Text == "" && in.Exit == "" {
		return query.Match{}, invalidField("name", "is required, or command, text or exit")
	}
	exit, err := query.ParseExitFilter(in.Exit)
	if err != nil {
		return query.Match{}, invalidField("exit", "%s", err)
	}
	return query.Match{Name: in.Name, Command: in.Command, Text: in.Text, Exit: exit}, nil
}

// parseTime returns the searched time. It is not combined with a window.
func (in *ProcessSearch) parseTime() (snapshot.Time, error) {
	if in.Since != "" || in.From != "" || in.To != "" {
		return 0, invalidField("time", "cannot be combined with since, from or to")
	}
	return parseTime("time", in.Time)
}

// ProcessMatchView is a machine that ran matching processes.
type ProcessMatchView struct {
	MachineID      string             `json:"machine_id"`
	Hostname       string             `json:"hostname"`
	HostnameShared bool               `json:"hostname_shared" doc:"Whether other machines that you can see have the same host name"`
	Timestamp      *snapshot.Time     `json:"timestamp,omitempty" format:"date-time" doc:"With time: timestamp of the snapshot"`
	Processes      []FoundProcessView `json:"processes,omitzero" required:"false" nullable:"false" doc:"With time: the processes"`
	Usages         []UsageView        `json:"usages,omitzero" required:"false" nullable:"false" doc:"In a window: usage of the processes"`
}

// FoundProcessView is a process at the searched time. Its exit status is known if it has ended since.
type FoundProcessView struct {
	snapshot.Process
	snapshot.ExitStatus
}

// ProcessMatches is a page of machines that ran matching processes.
type ProcessMatches struct {
	From       snapshot.Time      `json:"from" format:"date-time" doc:"Start of the searched window, or the searched time"`
	To         snapshot.Time      `json:"to" format:"date-time" doc:"End of the searched window, or the searched time"`
	Results    []ProcessMatchView `json:"results" nullable:"false" doc:"Machines, by machine_id"`
	NextCursor *string            `json:"next_cursor" doc:"Cursor of the next page; null on the last page. Other pages may be short or empty"`
	Truncated  bool               `json:"truncated" doc:"Whether the machines of this page ran more than 10,000 matching processes. Those with the least CPU time are left out, of the machines with the most processes"`

	ShortLivedFrom *snapshot.Time `json:"short_lived_from,omitempty" format:"date-time" doc:"In a window: time from which the results have processes that started and ended between two snapshots. Earlier ones have expired. Absent if none have"`
}

func (a *API) registerFindProcesses() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/processes", "find-processes", tagHistory,
		"Find the machines that ran a process",
		description("Searches by name, command line or exit status, at a time or in a time window.")), a.findProcesses)
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/processes/nearest", "find-nearest-processes", tagHistory,
		"Find when a process ran before and after a time",
		description("Use it if find-processes returns no results. Returns the last time before the searched time or "+
			"window, and the first time after it, at which a matching process ran.")), a.findNearest)
}

// NearestMatches are the times nearest to a search at which matching processes ran.
type NearestMatches struct {
	Before *NearestMatchView `json:"before,omitempty" doc:"Before the searched time or window. Absent if no matching process ran"`
	After  *NearestMatchView `json:"after,omitempty" doc:"After the searched time or window. Absent if no matching process ran"`
}

// NearestMatchView is a process that matches, and a time at which it ran.
type NearestMatchView struct {
	MachineID      string `json:"machine_id"`
	Hostname       string `json:"hostname"`
	HostnameShared bool   `json:"hostname_shared" doc:"Whether other machines that you can see have the same host name"`
	snapshot.ProcessKey
	snapshot.ExitStatus
	Name        string        `json:"name"`
	CommandLine string        `json:"command_line"`
	Timestamp   snapshot.Time `json:"timestamp" format:"date-time" doc:"Time of a snapshot with this process"`
}

func (a *API) findNearest(ctx context.Context, in *ProcessSearch) (*response[NearestMatches], error) {
	match, err := in.match()
	if err != nil {
		return nil, err
	}
	var from, to snapshot.Time
	if in.Time == "" {
		from, to, err = in.parse(a.cfg.Now())
	} else {
		from, err = in.parseTime()
		to = from
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	before, after, err := a.store.Nearest(ctx, match, from, to, viewOf(ctx))
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	var machineIDs []string
	for _, match := range []*query.NearestMatch{before, after} {
		if match != nil {
			machineIDs = append(machineIDs, match.MachineID)
		}
	}
	hostnames, shared, err := a.hostnames(ctx, machineIDs)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	var matches NearestMatches
	for _, one := range []struct {
		match *query.NearestMatch
		view  **NearestMatchView
	}{{before, &matches.Before}, {after, &matches.After}} {
		if one.match == nil {
			continue
		}
		hostname := hostnames[one.match.MachineID]
		*one.view = &NearestMatchView{
			MachineID:      one.match.MachineID,
			Hostname:       hostname,
			HostnameShared: shared[hostname],
			ProcessKey:     one.match.ProcessKey,
			ExitStatus:     one.match.Exit,
			Name:           one.match.Name,
			CommandLine:    one.match.CommandLine,
			Timestamp:      one.match.Timestamp,
		}
	}
	return &response[NearestMatches]{matches}, nil
}

func (a *API) findProcesses(ctx context.Context, in *findProcessesInput) (*response[ProcessMatches], error) {
	match, err := in.match()
	if err != nil {
		return nil, err
	}
	page := query.FleetPage{View: viewOf(ctx), Limit: in.Limit}
	if in.Cursor != "" {
		if err := decodeCursor(in.Cursor, "processes", &page.After); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	find := a.findAtTime
	if in.Time == "" {
		find = a.findInWindow
	}
	matches, err := find(ctx, match, in, page)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	if err := a.addHostnames(ctx, matches.Results); err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &response[ProcessMatches]{*matches}, nil
}

func (a *API) findAtTime(
	ctx context.Context, match query.Match, in *findProcessesInput, page query.FleetPage,
) (*ProcessMatches, error) {
	at, err := in.parseTime()
	if err != nil {
		return nil, err
	}
	found, next, err := a.store.FleetAt(ctx, match, at, page)
	if err != nil {
		return nil, err
	}
	results := views(found, func(m *query.ProcessMatch) ProcessMatchView {
		processes := views(m.Processes, func(p *snapshot.Process) FoundProcessView {
			return FoundProcessView{*p, p.Exit}
		})
		return ProcessMatchView{MachineID: m.MachineID, Timestamp: &m.Timestamp, Processes: processes}
	})
	return &ProcessMatches{From: at, To: at, Results: results, NextCursor: findCursor(next)}, nil
}

func (a *API) findInWindow(
	ctx context.Context, match query.Match, in *findProcessesInput, page query.FleetPage,
) (*ProcessMatches, error) {
	from, to, err := in.parse(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	found, err := a.store.FleetWindow(ctx, match, from, to, page)
	if err != nil {
		return nil, err
	}
	results := []ProcessMatchView{}
	for i := range found.Usages { // in the order of machines
		machineID := found.Usages[i].MachineID
		if n := len(results); n == 0 || results[n-1].MachineID != machineID {
			results = append(results, ProcessMatchView{MachineID: machineID})
		}
		last := &results[len(results)-1]
		last.Usages = append(last.Usages, usageView(&found.Usages[i]))
	}
	return &ProcessMatches{
		From: found.Window.From, To: found.Window.To, Results: results, NextCursor: findCursor(found.Next),
		Truncated: found.Truncated, ShortLivedFrom: timeOrNil(found.Window.ShortLivedFrom()),
	}, nil
}

// findCursor returns the cursor of the page that begins after a machine, or nil for "".
func findCursor(afterMachine string) *string {
	if afterMachine == "" {
		return nil
	}
	return encodeCursor("processes", afterMachine)
}

func (a *API) addHostnames(ctx context.Context, matches []ProcessMatchView) error {
	machineIDs := views(matches, func(m *ProcessMatchView) string { return m.MachineID })
	hostnames, shared, err := a.hostnames(ctx, machineIDs)
	if err != nil {
		return err
	}
	for i := range matches {
		matches[i].Hostname = hostnames[matches[i].MachineID]
		matches[i].HostnameShared = shared[matches[i].Hostname]
	}
	return nil
}

// hostnames returns the host names of machines by machine id, and those that several machines have.
func (a *API) hostnames(
	ctx context.Context, machineIDs []string,
) (hostnames map[string]string, shared map[string]bool, err error) {
	if hostnames, err = a.store.Hostnames(ctx, machineIDs); err != nil {
		return nil, nil, err
	}
	shared, err = a.store.SharedHostnames(ctx, viewOf(ctx), slices.Collect(maps.Values(hostnames)))
	return hostnames, shared, err
}
