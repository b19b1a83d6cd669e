package ingest

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/histogram"
)

// metrics holds the Prometheus metrics of ingest.
type metrics struct {
	requests                 *prometheus.CounterVec
	seconds, groupPosts      prometheus.Histogram
	batchSnapshots           prometheus.Histogram
	bodyBytes, queueRefused  prometheus.Counter
	bodyBytesHeld, queueRows prometheus.Gauge
	queueLimit               prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(
			prometheus.CounterOpts{
				Name: "snapwatch_ingest_requests_total",
				Help: "Posts of snapshots by result: ok, or the code of the problem.",
			},
			[]string{"result"},
		),
		seconds: prometheus.NewHistogram(histogram.Options(
			"snapwatch_ingest_request_seconds", "Seconds to handle a post, including the commit.",
			prometheus.ExponentialBuckets(0.001, 2, 15),
		)),
		groupPosts: prometheus.NewHistogram(histogram.Options(
			"snapwatch_ingest_group_posts", "Posts committed in one group.", prometheus.ExponentialBuckets(1, 2, 10),
		)),
		batchSnapshots: prometheus.NewHistogram(histogram.Options(
			"snapwatch_ingest_batch_snapshots", "Snapshots in a decoded post.",
			append([]float64{0}, prometheus.ExponentialBuckets(1, 2, 11)...),
		)),
		bodyBytes:     counter("snapwatch_ingest_body_bytes_total", "Bytes of posts after decompression."),
		queueRefused:  counter("snapwatch_ingest_queue_refused_total", "Posts rejected because the queue was full."),
		bodyBytesHeld: gauge("snapwatch_ingest_body_bytes", "Bytes of posts in memory."),
		queueLimit:    gauge("snapwatch_ingest_queue_limit_rows", "Maximum number of rows in the queue."),
		queueRows:     gauge("snapwatch_ingest_queue_rows", "Rows that are accepted and not yet committed."),
	}
	for _, result := range []string{ // create the series, so that a rate includes the first event
		"ok", "busy", "queue_full", "database_unavailable", "malformed_json", "invalid_field", "timestamp_in_future",
		"timestamp_too_old", "full_snapshot_needed", "out_of_order",
	} {
		m.requests.WithLabelValues(result)
	}
	registry.MustRegister(
		m.requests, m.seconds, m.groupPosts, m.batchSnapshots, m.bodyBytes, m.queueRefused, m.bodyBytesHeld,
		m.queueRows, m.queueLimit,
	)
	return m
}
