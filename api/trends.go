package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// MachineTrendView is what the small lines beside a machine show.
type MachineTrendView struct {
	MachineID string     `json:"machine_id"`
	CPUUsage  []*float64 `json:"cpu_usage" nullable:"false" doc:"Average of each of the last 60 minutes, oldest first; null where it was silent"`
	Load1     []*float64 `json:"load1" nullable:"false"`
}

type machineTrends struct {
	Body struct {
		To      snapshot.Time      `json:"to" format:"date-time"`
		Results []MachineTrendView `json:"results" nullable:"false" doc:"Of those that one sees, by machine_id"`
	}
}

// ProcessTrendView is what the small line beside a process shows.
type ProcessTrendView struct {
	snapshot.ProcessKey
	CPUUsage []*float64 `json:"cpu_usage" nullable:"false" doc:"Percent of one core in each of 60 parts of the window, oldest first"`
}

type processTrends struct {
	Body struct {
		From    snapshot.Time      `json:"from" format:"date-time"`
		To      snapshot.Time      `json:"to" format:"date-time"`
		Results []ProcessTrendView `json:"results" nullable:"false" doc:"Processes that spent any CPU time in the window"`
	}
}

func (a *API) registerTrends() {
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "get-machine-trends",
			Method:      http.MethodGet,
			Path:        "/api/v1/trends",
			Tags:        []string{"history"},
			Summary:     "The last hour of several machines in 60 points each, for small lines beside them",
		},
		a.getMachineTrends,
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "get-process-trends",
			Method:      http.MethodGet,
			Path:        "/api/v1/machines/{machine_id}/processes/trends",
			Tags:        []string{"history"},
			Summary:     "CPU of each of a machine's processes in a window of at most an hour, in 60 points, for small lines beside them",
		},
		a.getProcessTrends,
	)
}

func (a *API) getMachineTrends(ctx context.Context, in *struct {
	MachineIDs []string `query:"machine_id,explode" required:"true" maxItems:"100" nullable:"false" doc:"The machines; may be repeated"`
}) (*machineTrends, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	now := snapshot.TimeOf(a.cfg.Now())
	trends, err := a.store.MachineTrends(ctx, viewOf(ctx), in.MachineIDs, now)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := &machineTrends{}
	out.Body.To, out.Body.Results = now, make([]MachineTrendView, len(trends))
	for i := range trends {
		out.Body.Results[i] = MachineTrendView{trends[i].MachineID, trends[i].CPUUsage[:], trends[i].Load1[:]}
	}
	return out, nil
}

// maxTrend bounds the window of processes' trends, in milliseconds: it is read from
// the samples.
const maxTrend = 60 * 60 * 1000

func (a *API) getProcessTrends(ctx context.Context, in *struct {
	MachinePath
	TimeWindow
}) (*processTrends, error) {
	from, to, err := in.window(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	if to-from > maxTrend {
		return nil, invalid("from", "must be at most an hour before to")
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	trends, err := a.store.ProcessTrends(ctx, in.MachineID, from, to)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := &processTrends{}
	out.Body.From, out.Body.To, out.Body.Results = from, to, make([]ProcessTrendView, len(trends))
	for i := range trends {
		usages := make([]*float64, query.TrendPoints)
		for k, spent := range trends[i].CPUMS {
			usages[k] = snapshot.CPUUsage(&spent, int64(to-from)/query.TrendPoints)
		}
		out.Body.Results[i] = ProcessTrendView{trends[i].Key, usages}
	}
	return out, nil
}
