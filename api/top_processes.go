package api

import (
	"context"
	"math"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// UsageView is the resource usage of a process, or of all processes with one name, in a time window.
type UsageView struct {
	MachineID    string            `json:"machine_id,omitempty" doc:"Absent in sums over several machines"`
	PID          int32             `json:"pid,omitzero" doc:"Absent in sums over processes of one name, as started_at, command_line and user"`
	StartedAt    *snapshot.Time    `json:"started_at,omitempty" format:"date-time"`
	CommandLine  string            `json:"command_line,omitempty"`
	User         string            `json:"user,omitempty"`
	Name         string            `json:"name"`
	Processes    int64             `json:"processes" doc:"Number of processes in the sum"`
	UnknownCPU   int64             `json:"unknown_cpu_processes,omitzero" doc:"In sums over processes of one name: how many of them have unknown CPU time. The sum leaves it out. Absent if there are none"`
	UnknownIO    int64             `json:"unknown_io_processes,omitzero" doc:"As unknown_cpu_processes, of read_bytes and write_bytes"`
	CPUTime      *snapshot.CPUTime `json:"cpu_ms" doc:"CPU time used in the window, in milliseconds, to the microsecond"`
	CPUUsage     *float64          `json:"cpu_usage" doc:"Percent of one core over the whole window, or over the time that the samples cover if that is longer: the interval of a sample can begin before the window"`
	CPUTimeMax   *snapshot.CPUTime `json:"cpu_ms_max" doc:"Maximum CPU time in one interval between snapshots, in milliseconds, to the microsecond"`
	MemoryAvg    *float64          `json:"memory_avg" doc:"Average resident set size while running, in bytes"`
	MemoryMax    *int64            `json:"memory_max" doc:"Maximum resident set size, in bytes"`
	ThreadsMax   *int32            `json:"threads_max"`
	ReadBytes    *int64            `json:"read_bytes"`
	WriteBytes   *int64            `json:"write_bytes"`
	FirstSample  snapshot.Time     `json:"first_sample" format:"date-time" doc:"First sample in the window, or the one before it if the process was gone at the first snapshot in it"`
	LatestSample snapshot.Time     `json:"latest_sample" format:"date-time" doc:"Last sample in the window, or the one before it. Idle processes are sampled once a minute"`

	// ExitStatus is absent in sums over processes of one name.
	snapshot.ExitStatus
}

func usageView(u *query.Usage) UsageView {
	view := UsageView{
		MachineID:    u.MachineID,
		PID:          u.PID,
		CommandLine:  u.CommandLine,
		User:         u.User,
		Name:         u.Name,
		Processes:    u.Processes,
		UnknownCPU:   u.UnknownCPU,
		UnknownIO:    u.UnknownIO,
		CPUTime:      u.CPUTime,
		CPUUsage:     u.CPUUsage,
		CPUTimeMax:   u.CPUTimeMax,
		MemoryAvg:    roundedOrNil(u.MemoryAvg),
		MemoryMax:    u.MemoryMax,
		ThreadsMax:   u.ThreadsMax,
		ReadBytes:    u.ReadBytes,
		WriteBytes:   u.WriteBytes,
		FirstSample:  u.First,
		LatestSample: u.Last,
		ExitStatus:   u.Exit,
	}
	view.StartedAt = timeOrNil(u.StartedAt)
	return view
}

// timeOrNil returns a time, or nil if it is 0.
func timeOrNil(t snapshot.Time) *snapshot.Time {
	if t == 0 {
		return nil
	}
	return &t
}

func roundedOrNil(v *float64) *float64 {
	if v == nil {
		return nil
	}
	r := math.Round(*v)
	return &r
}

// TopProcessesQuery holds the query parameters of top processes.
type TopProcessesQuery struct {
	TimeWindow
	Sort  string `query:"sort" enum:"cpu,memory" default:"cpu" doc:"cpu: CPU time in the window. memory: average resident set size"`
	By    string `query:"by" enum:"process,name" default:"process" doc:"name: sum over the processes of each name"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"20" doc:"Maximum number of results"`
}

type machineTopProcessesInput struct {
	MachinePath
	TopProcessesQuery
}

// TopProcesses lists the processes with the highest usage.
type TopProcesses struct {
	From           snapshot.Time  `json:"from" format:"date-time" doc:"Start of the window. Windows of more than two hours are extended to whole hours, or to whole days where hours have expired"`
	To             snapshot.Time  `json:"to" format:"date-time" doc:"End of the window"`
	Results        []UsageView    `json:"results" nullable:"false" doc:"Highest usage first"`
	ShortLivedFrom *snapshot.Time `json:"short_lived_from,omitempty" format:"date-time" doc:"With by=process: time from which the list has processes that started and ended between two snapshots. Earlier ones have expired. Absent if none have"`
	// Truncated is whether the limit cut the list.
	Truncated bool `json:"truncated" doc:"Whether there are more than limit"`
}

func (a *API) registerTopProcesses() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/machines/{machine_id}/processes", "list-top-processes",
		tagHistory, "List the top processes of a machine"),
		func(ctx context.Context, in *machineTopProcessesInput) (*response[TopProcesses], error) {
			return a.topProcesses(ctx, in.MachineID, &in.TopProcessesQuery)
		})
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/processes/top", "list-fleet-top-processes", tagHistory,
		"List the top processes of all machines"),
		func(ctx context.Context, in *TopProcessesQuery) (*response[TopProcesses], error) {
			return a.topProcesses(ctx, "", in)
		})
}

// topProcesses returns the top processes of a machine, or of all machines for "".
func (a *API) topProcesses(
	ctx context.Context, machineID string, in *TopProcessesQuery,
) (*response[TopProcesses], error) {
	from, to, err := in.parse(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	usages, window, err := a.store.Top(ctx, query.UsageQuery{
		MachineID: machineID,
		View:      viewOf(ctx),
		From:      from,
		To:        to,
		Order:     query.UsageOrder(in.Sort),
		ByName:    in.By == "name",
		Limit:     in.Limit + 1,
	})
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	truncated := len(usages) > in.Limit
	if truncated {
		usages = usages[:in.Limit]
	}
	top := TopProcesses{From: window.From, To: window.To, Results: views(usages, usageView), Truncated: truncated}
	if in.By == "process" {
		top.ShortLivedFrom = timeOrNil(window.ShortLivedFrom())
	}
	return &response[TopProcesses]{top}, nil
}
