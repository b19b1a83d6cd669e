package ingest

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/histogram"
)

// metrics is what /metrics tells of ingest.
type metrics struct {
	requests                 *prometheus.CounterVec
	seconds, groupPosts      prometheus.Histogram
	batchSnapshots           prometheus.Histogram
	bodyBytes, queueRefused  prometheus.Counter
	bodyBytesHeld, queueRows prometheus.Gauge
	queueLimit               prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(
			prometheus.CounterOpts{
				Name: "snapwatch_ingest_requests_total",
				Help: "Posts of snapshots, by result: ok, or the code of the problem.",
			},
			[]string{"result"},
		),
		seconds: prometheus.NewHistogram(
			histogram.Options(
				"snapwatch_ingest_request_seconds", "Time from a post's arrival to its answer.",
				prometheus.ExponentialBuckets(0.001, 2, 15),
			),
		),
		groupPosts: prometheus.NewHistogram(
			histogram.Options(
				"snapwatch_ingest_group_posts", "Posts committed together.", prometheus.ExponentialBuckets(1, 2, 10),
			),
		),
		batchSnapshots: prometheus.NewHistogram(
			histogram.Options(
				"snapwatch_ingest_batch_snapshots", "Snapshots in a post that was read.",
				append([]float64{0}, prometheus.ExponentialBuckets(1, 2, 11)...),
			),
		),
		bodyBytes: prometheus.NewCounter(
			prometheus.CounterOpts{
				Name: "snapwatch_ingest_body_bytes_total",
				Help: "Bytes of posts after decompression.",
			},
		),
		queueRefused: prometheus.NewCounter(
			prometheus.CounterOpts{
				Name: "snapwatch_ingest_queue_refused_total",
				Help: "Posts refused because the queue was full.",
			},
		),
		bodyBytesHeld: prometheus.NewGauge(
			prometheus.GaugeOpts{Name: "snapwatch_ingest_body_bytes", Help: "Bytes of posts held in memory."},
		),
		queueLimit: prometheus.NewGauge(
			prometheus.GaugeOpts{
				Name: "snapwatch_ingest_queue_limit_rows",
				Help: "Rows that may wait to be committed.",
			},
		),
		queueRows: prometheus.NewGauge(
			prometheus.GaugeOpts{Name: "snapwatch_ingest_queue_rows", Help: "Rows accepted and not yet committed."},
		),
	}
	for _, result := range []string{"ok", "busy", "queue_full", "database_unavailable", "malformed_json", "invalid_field", "timestamp_in_future", "timestamp_too_old", "full_snapshot_needed", "out_of_order"} { // so that a rate begins with the first
		m.requests.WithLabelValues(result)
	}
	registry.MustRegister(
		m.requests, m.seconds, m.groupPosts, m.batchSnapshots, m.bodyBytes, m.queueRefused, m.bodyBytesHeld,
		m.queueRows, m.queueLimit,
	)
	return m
}
