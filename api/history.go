package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// ProcessPointView is a point of a process's history.
type ProcessPointView struct {
	Timestamp  snapshot.Time `json:"timestamp" format:"date-time" doc:"Begin of the bucket, or the sample's instant"`
	State      string        `json:"state,omitempty" doc:"Of samples alone: one letter as in ps, or exited"`
	IntervalMS int64         `json:"interval_ms" doc:"Milliseconds that the amounts cover"`
	Processes  int64         `json:"processes"`
	CPUMS      *int64        `json:"cpu_ms"`
	CPUUsage   *float64      `json:"cpu_usage" doc:"Percent of one core, over what of the bucket the process lived through"`
	CPUMSMax   *int64        `json:"cpu_ms_max" doc:"The most in one interval between snapshots"`
	MemoryAvg  *float64      `json:"memory_avg"`
	MemoryMax  *int64        `json:"memory_max"`
	ThreadsMax *int32        `json:"threads_max"`
	ReadBytes  *int64        `json:"read_bytes"`
	WriteBytes *int64        `json:"write_bytes"`
}

// HistoryQuery asks for a history in points.
type ProcessHistoryQuery struct {
	TimeWindow
	Resolution string `query:"resolution" enum:"auto,raw,1h,3h,1d" default:"auto" doc:"Width of the points; raw, which auto takes up to two hours, is every sample of one process"`
}

type machineProcessHistoryInput struct {
	MachinePath
	ProcessHistoryQuery
	PID       int32  `query:"pid" minimum:"1" doc:"The process; or else name"`
	StartedAt string `query:"started_at" format:"date-time" doc:"With pid: its start, by default that of the newest process with this pid"`
	Name      string `query:"name" maxLength:"255" doc:"All processes of this name"`
}

type fleetProcessHistoryInput struct {
	ProcessHistoryQuery
	Name string `query:"name" required:"true" minLength:"1" maxLength:"255" doc:"All processes of this name, on all machines"`
}

type processHistoryResponse struct {
	Body struct {
		From       snapshot.Time       `json:"from" format:"date-time"`
		To         snapshot.Time       `json:"to" format:"date-time"`
		Resolution query.Resolution    `json:"resolution" enum:"raw,1h,3h,1d"`
		PID        int32               `json:"pid,omitzero"`
		StartedAt  *snapshot.Time      `json:"started_at,omitempty" format:"date-time"`
		Identities []snapshot.Identity `json:"identities,omitempty" nullable:"false" doc:"Of one process: what it was called, the newest first"`
		Points     []ProcessPointView  `json:"points" nullable:"false" doc:"Oldest first. Samples are sparse: a level holds until the next one, and nothing is spent in between"`
		Truncated  bool                `json:"truncated" doc:"There are more than 10,000 points; ask for a shorter window or a coarser resolution"`
	}
}

func (a *API) registerProcessHistory() {
	tags := []string{"history"}
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "get-process-history",
			Method:      http.MethodGet,
			Path:        "/api/v1/machines/{machine_id}/processes/history",
			Tags:        tags,
			Summary:     "The history of one process, or of all processes of one name, on a machine",
		},
		a.getProcessHistory,
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "get-fleet-process-history",
			Method:      http.MethodGet,
			Path:        "/api/v1/processes/history",
			Tags:        tags,
			Summary:     "The history of all processes of one name on all machines",
		},
		func(ctx context.Context, in *fleetProcessHistoryInput) (*processHistoryResponse, error) {
			return a.processNameHistory(ctx, "", in.Name, &in.ProcessHistoryQuery)
		},
	)
}

func (a *API) getProcessHistory(ctx context.Context, in *machineProcessHistoryInput) (*processHistoryResponse, error) {
	switch {
	case in.Name != "" && in.PID != 0:
		return nil, invalid("name", "cannot be given together with pid")
	case in.Name != "":
		return a.processNameHistory(ctx, in.MachineID, in.Name, &in.ProcessHistoryQuery)
	case in.PID == 0:
		return nil, invalid("pid", "is required, or name")
	}
	from, to, err := in.window(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	var started snapshot.Time
	if in.StartedAt != "" {
		if started, err = parseTime("started_at", in.StartedAt); err != nil {
			return nil, err
		}
	}
	lifetime, err := a.store.ProcessLifetime(ctx, in.MachineID, in.PID, started)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := &processHistoryResponse{}
	out.Body.PID = lifetime.PID
	if lifetime.StartedAt != 0 {
		out.Body.StartedAt = &lifetime.StartedAt
	}
	for i := range lifetime.Identities {
		out.Body.Identities = append(out.Body.Identities, lifetime.Identities[i].Identity)
	}
	resolution := query.Resolution(in.Resolution)
	if resolution == query.ResolutionAuto {
		resolution = a.store.ProcessResolution(from, to)
	}
	points, more, err := a.store.ProcessHistory(ctx, in.MachineID, lifetime, from, to, resolution, maxPoints)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out.fill(from, to, resolution, points, more)
	return out, nil
}

func (a *API) processNameHistory(ctx context.Context, machineID, name string, in *ProcessHistoryQuery) (*processHistoryResponse, error) {
	from, to, err := in.window(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	resolution := query.Resolution(in.Resolution)
	switch resolution {
	case query.ResolutionRaw:
		return nil, invalid("resolution", "must be 1h, 3h or 1d for a name")
	case query.ResolutionAuto:
		if resolution = a.store.ProcessResolution(from, to); resolution == query.ResolutionRaw {
			resolution = query.ResolutionHour
		}
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	points, more, err := a.store.NameHistory(ctx, viewOf(ctx), machineID, name, from, to, resolution, maxPoints)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := &processHistoryResponse{}
	out.fill(from, to, resolution, points, more)
	return out, nil
}

func (out *processHistoryResponse) fill(
	from, to snapshot.Time, resolution query.Resolution, points []query.ProcessPoint, more bool,
) {
	out.Body.From, out.Body.To, out.Body.Resolution, out.Body.Truncated = from, to, resolution, more
	out.Body.Points = make([]ProcessPointView, len(points))
	for i := range points {
		p := &points[i]
		out.Body.Points[i] = ProcessPointView{
			Timestamp:  p.Timestamp,
			State:      p.State,
			IntervalMS: p.ElapsedMS,
			Processes:  p.Processes,
			CPUMS:      p.CPUMS,
			CPUUsage:   snapshot.CPUUsage(p.CPUMS, p.ElapsedMS),
			CPUMSMax:   p.CPUMSMax,
			MemoryAvg:  roundedOrNil(p.MemoryAvg),
			MemoryMax:  p.MemoryMax,
			ThreadsMax: p.ThreadsMax,
			ReadBytes:  p.ReadBytes,
			WriteBytes: p.WriteBytes,
		}
	}
}
