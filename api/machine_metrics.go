package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// maxPoints is the maximum number of points in a time series.
const maxPoints = 10_000

type machineMetricsInput struct {
	MachinePath
	TimeWindow
	Resolution string `query:"resolution" enum:"auto,raw,1m,1h,3h,1d" default:"auto" doc:"Time between points. auto: the finest with at most about 1,500 points"`
}

// MachineMetrics are the time series of a machine's system metrics.
type MachineMetrics struct {
	From       snapshot.Time       `json:"from" format:"date-time"`
	To         snapshot.Time       `json:"to" format:"date-time"`
	Resolution query.Resolution    `json:"resolution" enum:"raw,1m,1h,3h,1d"`
	Truncated  bool                `json:"truncated" doc:"Whether points are missing because there are more than 10,000. Use a shorter window or a coarser resolution"`
	Series     *query.MachineChart `json:"series"`
}

func (a *API) registerMachineMetrics() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/machines/{machine_id}/metrics", "get-machine-metrics",
		tagHistory, "Get a machine's system metrics over time",
		description("Returns averages, maxima and totals for each point.")), a.getMachineMetrics)
}

func (a *API) getMachineMetrics(ctx context.Context, in *machineMetricsInput) (*response[MachineMetrics], error) {
	from, to, err := in.parse(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	resolution := query.Resolution(in.Resolution)
	if resolution == query.ResolutionAuto {
		resolution = a.store.MachineResolution(from, to)
	}
	series, truncated, err := a.store.Chart(ctx, in.MachineID, from, to, resolution, maxPoints)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &response[MachineMetrics]{MachineMetrics{from, to, resolution, truncated, series}}, nil
}
