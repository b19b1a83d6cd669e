package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// maxPoints bounds the points of a chart.
const maxPoints = 10_000

type machineMetricsInput struct {
	MachinePath
	TimeWindow
	Resolution string `query:"resolution" enum:"auto,raw,1m,1h,3h,1d" default:"auto" doc:"Width of the points; auto takes the finest that makes at most about 1,500"`
}

type machineMetricsResponse struct {
	Body struct {
		From       snapshot.Time       `json:"from" format:"date-time"`
		To         snapshot.Time       `json:"to" format:"date-time"`
		Resolution query.Resolution    `json:"resolution" enum:"raw,1m,1h,3h,1d"`
		Truncated  bool                `json:"truncated" doc:"There are more than 10,000 entries; ask for a shorter window or a coarser resolution"`
		Series     *query.MachineChart `json:"series"`
	}
}

func (a *API) registerMachineMetrics() {
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "get-machine-metrics",
			Method:      http.MethodGet,
			Path:        "/api/v1/machines/{machine_id}/metrics",
			Tags:        []string{"history"},
			Summary:     "A machine's chart: averages, maxima and totals per bucket of time",
		},
		a.getMachineMetrics,
	)
}

func (a *API) getMachineMetrics(ctx context.Context, in *machineMetricsInput) (*machineMetricsResponse, error) {
	from, to, err := in.window(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	resolution := query.Resolution(in.Resolution)
	if resolution == query.ResolutionAuto {
		resolution = a.store.MachineResolution(from, to)
	}
	out := &machineMetricsResponse{}
	out.Body.From, out.Body.To, out.Body.Resolution = from, to, resolution
	out.Body.Series, out.Body.Truncated, err = a.store.Chart(ctx, in.MachineID, from, to, resolution, maxPoints)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return out, nil
}
