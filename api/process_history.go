package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// ProcessPointView is a point in the history of a process.
type ProcessPointView struct {
	Timestamp  snapshot.Time     `json:"timestamp" format:"date-time" doc:"Start of the point's time, or with raw the time of the sample"`
	State      string            `json:"state,omitempty" doc:"With raw: state of the process, one letter as in ps, or exited"`
	IntervalMS int64             `json:"interval_ms" doc:"Measured time that the totals cover, in milliseconds: of one process, while it was running; of processes on machines with different measured times, the time in which cpu_ms makes the sum of their rates"`
	Processes  int64             `json:"processes" doc:"Number of different processes in the sum"`
	RunningAvg *float64          `json:"running_avg,omitempty" doc:"With name: how many of them ran at once, on average. A process that ended between two snapshots counts until the second"`
	CPUTime    *snapshot.CPUTime `json:"cpu_ms" doc:"CPU time used, in milliseconds, to the microsecond"`
	CPUUsage   *float64          `json:"cpu_usage" doc:"Percent of one core over interval_ms"`
	CPUTimeMax *snapshot.CPUTime `json:"cpu_ms_max" doc:"Maximum CPU time in one interval between snapshots, in milliseconds, to the microsecond"`
	MemoryAvg  *float64          `json:"memory_avg" doc:"Average resident set size, in bytes"`
	MemoryMax  *int64            `json:"memory_max" doc:"Maximum resident set size, in bytes"`
	ThreadsMax *int32            `json:"threads_max"`
	ReadBytes  *int64            `json:"read_bytes"`
	WriteBytes *int64            `json:"write_bytes"`

	UnknownCPU       int64 `json:"unknown_cpu_processes,omitzero" doc:"With name: how many of the processes have unknown CPU time. The sum leaves it out. Absent if there are none"`
	UnknownIO        int64 `json:"unknown_io_processes,omitzero" doc:"As unknown_cpu_processes, of read_bytes and write_bytes"`
	MachinesExpected int64 `json:"machines_expected,omitzero" doc:"With name: how many of machines had sent data by then. A machine counts after the time of its first data, and in that time if it was measured"`
	MachinesMeasured int64 `json:"machines_measured,omitzero" doc:"With name: how many of machines_expected were measured in the time of the point, for at least 0.95 times as long as the one that was measured longest. The sums lack some or all of the usage of the others"`

	Measured []MeasuredView `json:"measured,omitempty" nullable:"false" doc:"With name: when the machines of the sum were measured, if they were measured in a part of the time of the point. To the minute with 1h, else to the hour. Absent if they were measured all the time, or if it is not known when"`
}

// MeasuredView is a time in which machines were measured.
type MeasuredView struct {
	From snapshot.Time `json:"from" format:"date-time"`
	To   snapshot.Time `json:"to" format:"date-time"`
}

func processPointView(p *query.ProcessPoint) ProcessPointView {
	return ProcessPointView{
		Timestamp:  p.Timestamp,
		State:      p.State,
		IntervalMS: p.ElapsedMS,
		Processes:  p.Processes,
		RunningAvg: p.RunningAvg,
		CPUTime:    p.CPUTime,
		CPUUsage:   snapshot.CPUUsage(p.CPUTime, p.ElapsedMS),
		CPUTimeMax: p.CPUTimeMax,
		MemoryAvg:  roundedOrNil(p.MemoryAvg),
		MemoryMax:  p.MemoryMax,
		ThreadsMax: p.ThreadsMax,
		ReadBytes:  p.ReadBytes,
		WriteBytes: p.WriteBytes,

		UnknownCPU:       p.UnknownCPU,
		UnknownIO:        p.UnknownIO,
		MachinesExpected: p.MachinesExpected,
		MachinesMeasured: p.MachinesMeasured,
		Measured:         views(p.Measured, func(s *query.Span) MeasuredView { return MeasuredView(*s) }),
	}
}

// ProcessHistoryQuery holds the query parameters of a process history.
type ProcessHistoryQuery struct {
	TimeWindow
	Resolution string `query:"resolution" enum:"auto,raw,1m,1h,3h,1d" default:"auto" doc:"Time between points. raw: every sample of one process. 1m: only for a name that at most four machines ran; a sample counts in the minute of its snapshot. auto: the finest for a name up to two hours, and for one process up to three; for a name, 1h if one of the machines takes snapshots more than a minute apart"`
}

type machineProcessHistoryInput struct {
	MachinePath
	ProcessHistoryQuery
	PID       int32    `query:"pid" minimum:"1" doc:"PID of a process. Either pid or name is required"`
	StartedAt timeText `query:"started_at" doc:"With pid: start of the process. Default: the latest process with this PID"`
	Name      string   `query:"name" maxLength:"255" doc:"Name of processes to add up"`
}

type fleetProcessHistoryInput struct {
	ProcessHistoryQuery
	Name string `query:"name" required:"true" minLength:"1" maxLength:"255" doc:"Name of processes to add up"`
}

// UnmeasuredView is the time of a missing point in which not all machines were measured.
type UnmeasuredView struct {
	Timestamp        snapshot.Time `json:"timestamp" format:"date-time" doc:"Start of the time, which is as long as that of a point"`
	MachinesExpected int64         `json:"machines_expected" doc:"As of a point"`
	MachinesMeasured int64         `json:"machines_measured" doc:"How many of machines_expected were measured"`
}

// ProcessHistory is the history of a process, or of all processes with one name.
type ProcessHistory struct {
	From       snapshot.Time    `json:"from" format:"date-time"`
	To         snapshot.Time    `json:"to" format:"date-time"`
	Resolution query.Resolution `json:"resolution" enum:"raw,1m,1h,3h,1d"`
	PID        int32            `json:"pid,omitzero"`
	StartedAt  *snapshot.Time   `json:"started_at,omitempty" format:"date-time"`
	snapshot.ExitStatus
	Identities []snapshot.Identity `json:"identities,omitempty" nullable:"false" doc:"Names and command lines that the process had, newest first"`
	Points     []ProcessPointView  `json:"points" nullable:"false" doc:"Points, oldest first. With raw, samples between the first and the last are missing where nothing changed"`
	Machines   int64               `json:"machines,omitzero" doc:"With name: number of machines that ran the processes in the range"`
	Unmeasured []UnmeasuredView    `json:"unmeasured,omitempty" nullable:"false" doc:"With name: times without a point in which not all machines were measured. The processes may have run on the others. The time before a machine's first snapshot is not included"`
	Truncated  bool                `json:"truncated" doc:"Whether points are missing because there are more than 10,000. Use a shorter window or a coarser resolution"`
}

func (a *API) registerProcessHistory() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/machines/{machine_id}/processes/history",
		"get-process-history", tagHistory, "Get the history of a machine's process",
		description("Returns the history of one process (pid), or of all processes with one name.")),
		a.getProcessHistory)
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/processes/history", "get-fleet-process-history",
		tagHistory, "Get the history of all processes with one name"),
		func(ctx context.Context, in *fleetProcessHistoryInput) (*response[ProcessHistory], error) {
			return a.nameHistory(ctx, "", in.Name, &in.ProcessHistoryQuery)
		})
}

func (a *API) getProcessHistory(
	ctx context.Context, in *machineProcessHistoryInput,
) (*response[ProcessHistory], error) {
	switch {
	case in.Name != "" && in.PID != 0:
		return nil, invalidField("name", "cannot be combined with pid")
	case in.Name != "":
		return a.nameHistory(ctx, in.MachineID, in.Name, &in.ProcessHistoryQuery)
	case in.PID == 0:
		return nil, invalidField("pid", "is required, or name")
	}
	from, to, err := in.parse(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	var started snapshot.Time
	if in.StartedAt != "" {
		if started, err = parseTime("started_at", in.StartedAt); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	lifetime, err := a.store.ProcessLifetime(ctx, in.MachineID, in.PID, started)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	resolution := query.Resolution(in.Resolution)
	switch resolution {
	case query.ResolutionMinute:
		return nil, invalidField("resolution", "must be raw, 1h, 3h or 1d for a pid")
	case query.ResolutionAuto:
		resolution = a.store.ProcessResolution(from, to)
	}
	points, truncated, err := a.store.ProcessHistory(ctx, in.MachineID, lifetime, from, to, resolution, maxPoints)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	history := ProcessHistory{
		From:       from,
		To:         to,
		Resolution: resolution,
		PID:        lifetime.PID,
		ExitStatus: lifetime.Exit,
		Points:     views(points, processPointView),
		Truncated:  truncated,
	}
	if lifetime.StartedAt != 0 {
		history.StartedAt = &lifetime.StartedAt
	}
	for i := range lifetime.Identities {
		history.Identities = append(history.Identities, lifetime.Identities[i].Identity)
	}
	return &response[ProcessHistory]{history}, nil
}

// nameHistory returns the history of all processes with a name, on one machine or on all machines for "".
func (a *API) nameHistory(
	ctx context.Context, machineID, name string, in *ProcessHistoryQuery,
) (*response[ProcessHistory], error) {
	from, to, err := in.parse(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	resolution := query.Resolution(in.Resolution)
	switch resolution {
	case query.ResolutionRaw:
		return nil, invalidField("resolution", "must be 1m, 1h, 3h or 1d for a name")
	case query.ResolutionMinute:
		if !a.store.HasNameMinutes(from, to) {
			return nil, invalidField("resolution", "can be 1m only up to two hours, while the snapshots are kept")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	named, err := a.store.NameHistory(
		ctx, viewOf(ctx), machineID, name, from, to, resolution, maxPoints,
	)
	if errors.Is(err, query.ErrTooManyMachines) {
		return nil, invalidField("resolution", "can be 1m only if at most four machines ran the processes")
	}
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	history := ProcessHistory{
		From:       from,
		To:         to,
		Resolution: named.Resolution,
		Points:     views(named.Points, processPointView),
		Truncated:  named.Truncated,
	}
	if len(named.Points) > 0 {
		history.Machines = named.Points[0].Machines
	}
	for _, one := range named.Unmeasured {
		history.Unmeasured = append(history.Unmeasured, UnmeasuredView(one))
	}
	return &response[ProcessHistory]{history}, nil
}
