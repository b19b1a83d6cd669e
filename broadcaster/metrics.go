package broadcaster

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/histogram"
)

// metrics holds the live view's Prometheus metrics.
type metrics struct {
	listenerConnected, topics                                     prometheus.Gauge
	reconnects, notifications, readFailures, skipped, slowClients prometheus.Counter
	lagSeconds                                                    prometheus.Histogram
}

func newMetrics(registry prometheus.Registerer, sockets func() float64) *metrics {
	gauge := func(name, help string) prometheus.GaugeOpts { return prometheus.GaugeOpts{Name: name, Help: help} }
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		listenerConnected: prometheus.NewGauge(gauge(
			"snapwatch_live_listener_connected",
			"Whether the connection that receives PostgreSQL notifications is up: 1 or 0.",
		)),
		topics: prometheus.NewGauge(gauge("snapwatch_live_machines", "Machines with at least one live subscriber.")),
		reconnects: counter(
			"snapwatch_live_listener_reconnects_total",
			"Reconnects of the connection that receives PostgreSQL notifications.",
		),
		notifications: counter("snapwatch_live_notices_total", "PostgreSQL notifications received."),
		readFailures: counter(
			"snapwatch_live_read_failures_total", "Failed reads of snapshots for the live view. Each is retried.",
		),
		skipped: counter(
			"snapwatch_live_skipped_total",
			"Snapshots dropped from the queue of a slow client because a newer one was available.",
		),
		slowClients: counter(
			"snapwatch_live_slow_clients_total", "WebSocket connections closed because the client read too slowly.",
		),
		lagSeconds: prometheus.NewHistogram(histogram.Options(
			"snapwatch_live_notice_lag_seconds",
			"Seconds between a commit and the arrival of its notification, by the clocks of both servers.",
			prometheus.ExponentialBuckets(0.001, 2, 14),
		)),
	}
	registry.MustRegister(
		m.lagSeconds, m.listenerConnected, m.topics, m.reconnects, m.notifications, m.readFailures, m.skipped,
		m.slowClients,
		prometheus.NewGaugeFunc(gauge("snapwatch_live_sockets", "Open WebSocket connections."), sockets),
	)
	return m
}
