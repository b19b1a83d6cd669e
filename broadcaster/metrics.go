package broadcaster

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/histogram"
)

// metrics is what /metrics tells of the live view.
type metrics struct {
	listenerConnected, topics                               prometheus.Gauge
	reconnects, notices, readFailures, skipped, slowClients prometheus.Counter
	lagSeconds                                              prometheus.Histogram
}

func newMetrics(registry prometheus.Registerer, sockets func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		listenerConnected: prometheus.NewGauge(
			prometheus.GaugeOpts{
				Name: "snapwatch_live_listener_connected",
				Help: "1 while the connection that LISTENs is up.",
			},
		),
		topics: prometheus.NewGauge(
			prometheus.GaugeOpts{Name: "snapwatch_live_machines", Help: "Machines that somebody watches."},
		),
		reconnects: counter(
			"snapwatch_live_listener_reconnects_total", "Times the connection that LISTENs was lost.",
		),
		notices: counter("snapwatch_live_notices_total", "Notices received."),
		readFailures: counter(
			"snapwatch_live_read_failures_total", "Reads for the live view that failed and were tried again.",
		),
		skipped: counter(
			"snapwatch_live_skipped_total",
			"Snapshots that a client behind the others did not get, because a newer one was there.",
		),
		slowClients: counter(
			"snapwatch_live_slow_clients_total", "Sockets closed because the client did not read.",
		),
	}
	m.lagSeconds = prometheus.NewHistogram(
		histogram.Options(
			"snapwatch_live_notice_lag_seconds",
			"Time from a commit to the arrival of its notice here, by the clocks of both servers.",
			prometheus.ExponentialBuckets(0.001, 2, 14),
		),
	)
	registry.MustRegister(
		m.lagSeconds, m.listenerConnected, m.topics, m.reconnects, m.notices, m.readFailures, m.skipped,
		m.slowClients,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "snapwatch_live_sockets", Help: "Open sockets."}, sockets),
	)
	return m
}
