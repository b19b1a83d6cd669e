package api

import (
	"context"
	"math"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// UsageView is what a process, or all of one name, used in a window.
type UsageView struct {
	MachineID    string         `json:"machine_id,omitempty" doc:"Absent where machines are added up"`
	PID          int32          `json:"pid,omitzero" doc:"Absent where processes of one name are added up, as are the next three"`
	StartedAt    *snapshot.Time `json:"started_at,omitempty" format:"date-time"`
	CommandLine  string         `json:"command_line,omitempty"`
	User         string         `json:"user,omitempty"`
	Name         string         `json:"name"`
	Processes    int64          `json:"processes" doc:"How many processes were added up"`
	CPUMS        *int64         `json:"cpu_ms" doc:"CPU time spent in the window, milliseconds"`
	CPUUsage     *float64       `json:"cpu_usage" doc:"The same as percent of one core over the whole window"`
	CPUMSMax     *int64         `json:"cpu_ms_max" doc:"The most in one interval between snapshots"`
	MemoryAvg    *float64       `json:"memory_avg" doc:"Average resident set size while it ran, bytes; of several processes the average of all"`
	MemoryMax    *int64         `json:"memory_max"`
	ThreadsMax   *int32         `json:"threads_max"`
	ReadBytes    *int64         `json:"read_bytes"`
	WriteBytes   *int64         `json:"write_bytes"`
	FirstSample  snapshot.Time  `json:"first_sample" format:"date-time" doc:"Of the window"`
	LatestSample snapshot.Time  `json:"latest_sample" format:"date-time" doc:"Of the window; what an idle process does not change is not sampled for up to a minute"`
}

func usageView(u *query.Usage, window query.WindowPlan) UsageView {
	view := UsageView{
		MachineID:    u.MachineID,
		PID:          u.PID,
		CommandLine:  u.CommandLine,
		User:         u.User,
		Name:         u.Name,
		Processes:    u.Processes,
		CPUMS:        u.CPUMS,
		CPUMSMax:     u.CPUMSMax,
		MemoryAvg:    roundedOrNil(u.MemoryAvg),
		MemoryMax:    u.MemoryMax,
		ThreadsMax:   u.ThreadsMax,
		ReadBytes:    u.ReadBytes,
		WriteBytes:   u.WriteBytes,
		FirstSample:  u.First,
		LatestSample: u.Last,
		CPUUsage:     snapshot.CPUUsage(u.CPUMS, int64(window.To-window.From)),
	}
	if u.StartedAt != 0 {
		view.StartedAt = &u.StartedAt
	}
	return view
}

func roundedOrNil(v *float64) *float64 {
	if v == nil {
		return nil
	}
	r := math.Round(*v)
	return &r
}

// TopQuery asks for what used most.
type TopProcessesQuery struct {
	TimeWindow
	Sort  string `query:"sort" enum:"cpu,memory" default:"cpu" doc:"cpu: time spent in the window; memory: average resident set size"`
	By    string `query:"by" enum:"process,name" default:"process" doc:"name adds up the processes of one name"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"20"`
}

type machineTopProcessesInput struct {
	MachinePath
	TopProcessesQuery
}

type topProcessesResponse struct {
	Body struct {
		From    snapshot.Time `json:"from" format:"date-time" doc:"A window of more than two hours is widened to whole hours, where rollups serve it"`
		To      snapshot.Time `json:"to" format:"date-time"`
		Results []UsageView   `json:"results" nullable:"false" doc:"The most first"`
	}
}

func (a *API) registerTopProcesses() {
	tags := []string{"history"}
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "list-top-processes",
			Method:      http.MethodGet,
			Path:        "/api/v1/machines/{machine_id}/processes",
			Tags:        tags,
			Summary:     "The processes of a machine that used most in a window",
		},
		func(ctx context.Context, in *machineTopProcessesInput) (*topProcessesResponse, error) {
			return a.topProcesses(ctx, in.MachineID, &in.TopProcessesQuery)
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "list-fleet-top-processes",
			Method:      http.MethodGet,
			Path:        "/api/v1/processes/top",
			Tags:        tags,
			Summary:     "The processes of all machines that used most in a window",
		},
		func(ctx context.Context, in *TopProcessesQuery) (*topProcessesResponse, error) {
			return a.topProcesses(ctx, "", in)
		},
	)
}

func (a *API) topProcesses(ctx context.Context, machineID string, in *TopProcessesQuery) (*topProcessesResponse, error) {
	from, to, err := in.window(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	list, window, err := a.store.Top(
		ctx,
		query.UsageQuery{
			MachineID: machineID,
			View:      viewOf(ctx),
			From:      from,
			To:        to,
			Order:     query.UsageOrder(in.Sort),
			ByName:    in.By == "name",
			Limit:     in.Limit,
		},
	)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := &topProcessesResponse{}
	out.Body.From, out.Body.To = window.From, window.To
	out.Body.Results = make([]UsageView, len(list))
	for i := range list {
		out.Body.Results[i] = usageView(&list[i], window)
	}
	return out, nil
}
