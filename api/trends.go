package api

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// maxProcessTrend is the maximum time window of process trends, which are computed from raw samples.
const maxProcessTrend = time.Hour

// MachineTrendView is the data of a machine's sparklines.
type MachineTrendView struct {
	MachineID string     `json:"machine_id"`
	CPUUsage  []*float64 `json:"cpu_usage" nullable:"false" doc:"Average of each of the last 60 minutes, oldest first; null for no data"`
	Load1     []*float64 `json:"load1" nullable:"false" doc:"Average of each of the last 60 minutes, oldest first; null for no data"`
}

func machineTrendView(t *query.MachineTrend) MachineTrendView {
	return MachineTrendView{t.MachineID, t.CPUUsage[:], t.Load1[:]}
}

// MachineTrends is the data of sparklines of machines.
type MachineTrends struct {
	To      snapshot.Time      `json:"to" format:"date-time"`
	Results []MachineTrendView `json:"results" nullable:"false" doc:"Machines that the caller may read, by machine_id"`
}

type machineTrendsInput struct {
	MachineIDs []string `query:"machine_id,explode" required:"true" maxItems:"100" nullable:"false" doc:"ID of a machine; may be repeated"`
}

// ProcessTrendView is the data of a process's sparkline.
type ProcessTrendView struct {
	snapshot.ProcessKey
	CPUUsage []*float64 `json:"cpu_usage" nullable:"false" doc:"Percent of one core in each of 60 parts of the window, oldest first; null for no data, or if the CPU time of the process is unknown. A sample is spread over the parts that its interval overlaps. The value is the average of the time in which the process was measured, from its start to its recorded end"`
}

// ProcessTrends is the data of sparklines of processes.
type ProcessTrends struct {
	From    snapshot.Time      `json:"from" format:"date-time"`
	To      snapshot.Time      `json:"to" format:"date-time"`
	Results []ProcessTrendView `json:"results" nullable:"false" doc:"Processes that used CPU time in the window, without those that started and ended between two snapshots"`
}

type processTrendsInput struct {
	MachinePath
	TimeWindow
}

func (a *API) registerTrends() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/trends", "get-machine-trends", tagHistory,
		"Get the last hour of several machines",
		description("Returns 60 points per machine, for sparklines.")), a.getMachineTrends)
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/machines/{machine_id}/processes/trends",
		"get-process-trends", tagHistory, "Get the CPU usage of a machine's processes over time",
		description("Returns 60 points per process, for sparklines. The window must be at most an hour long.")),
		a.getProcessTrends)
}

func (a *API) getMachineTrends(ctx context.Context, in *machineTrendsInput) (*response[MachineTrends], error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	now := snapshot.TimeOf(a.cfg.Now())
	trends, err := a.store.MachineTrends(ctx, viewOf(ctx), in.MachineIDs, now)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &response[MachineTrends]{MachineTrends{now, views(trends, machineTrendView)}}, nil
}

func (a *API) getProcessTrends(ctx context.Context, in *processTrendsInput) (*response[ProcessTrends], error) {
	from, to, err := in.parse(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	if to.Sub(from) > maxProcessTrend {
		return nil, invalidField("from", "must be at most an hour before to")
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	trends, err := a.store.ProcessTrends(ctx, in.MachineID, from, to)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	results := views(trends, func(t *query.ProcessTrend) ProcessTrendView {
		usages := make([]*float64, query.TrendPoints)
		for i, usage := range t.CPUUsage {
			if usage != nil {
				usages[i] = new(math.Round(*usage*100) / 100)
			}
		}
		return ProcessTrendView{t.Key, usages}
	})
	return &response[ProcessTrends]{ProcessTrends{from, to, results}}, nil
}
