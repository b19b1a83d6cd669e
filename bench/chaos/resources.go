//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/snapwatch/snapwatch/bench/product"
)

// resources is what a server and its database use.
type resources struct {
	goroutines, connections int
	memory                  float64 // resident, in MiB
}

func (r resources) String() string {
	return fmt.Sprintf("%d, %d, %.0f MiB", r.goroutines, r.connections, r.memory)
}

// The bounds within which resources are back where they were. Agents and live views have a few goroutines each, and not
// all connections of a pool are open all the time.
const (
	moreGoroutines  = 50
	moreConnections = 5
	moreMemory      = 64 // MiB, and half of what it was
	settleTime      = 20 * time.Second
)

// within reports whether r is back where before was.
func (r resources) within(before resources) bool {
	return r.goroutines <= before.goroutines+moreGoroutines &&
		r.connections <= before.connections+moreConnections &&
		r.memory <= before.memory*1.5+moreMemory
}

// baseline waits until the load has started, opens the connections of the pools, and returns what is in use then.
func (w *world) baseline(ctx context.Context) (resources, error) {
	if _, err := w.recovered(ctx, time.Now()); err != nil {
		return resources{}, err
	}
	var reads sync.WaitGroup
	for i := range 16 {
		reads.Go(func() {
			path := []string{"/processes?since=5m", "/snapshots?since=5m&include_processes=true"}[i%2]
			_ = w.get(ctx, "/api/v1/machines/"+w.fleet.agents[0].id+path, nil)
		})
	}
	reads.Wait()
	return w.measure(ctx)
}

// settle returns what is in use when it is back where it was, or after some time.
func (w *world) settle(ctx context.Context, before resources) (r resources, err error) {
	for until := time.Now().Add(settleTime); ; {
		if r, err = w.measure(ctx); err != nil || r.within(before) || time.Now().After(until) {
			return r, err
		}
		if err := product.Pause(ctx, time.Second); err != nil {
			return r, err
		}
	}
}

func (w *world) measure(ctx context.Context) (r resources, err error) {
	conn, err := w.postgres.connect(ctx)
	if err != nil {
		return r, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE usename = 'snapwatch'`).Scan(&r.connections)
	if err != nil {
		return r, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.links[0].url()+"/metrics", nil)
	if err != nil {
		return r, err
	}
	response, err := w.client.Do(request)
	if err != nil {
		return r, err
	}
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return r, fmt.Errorf("read the metrics: %s: %w", response.Status, err)
	}
	gauge := func(name string) float64 {
		for _, metric := range families[name].GetMetric() {
			return metric.GetGauge().GetValue()
		}
		return 0
	}
	r.goroutines, r.memory = int(gauge("go_goroutines")), gauge("process_resident_memory_bytes")/(1<<20)
	if r.goroutines == 0 || r.memory == 0 {
		return r, fmt.Errorf("the server has no metrics of its process")
	}
	return r, nil
}
