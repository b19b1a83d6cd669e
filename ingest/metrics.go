package ingest

import "github.com/prometheus/client_golang/prometheus"

// metrics is what /metrics tells of ingest.
type metrics struct {
	requests                 *prometheus.CounterVec
	seconds, groupPosts      prometheus.Histogram
	bodyBytes, queueRefused  prometheus.Counter
	bodyBytesHeld, queueRows prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "snapwatch_ingest_requests_total", Help: "Posts of snapshots, by result: ok, or the code of the problem."}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "snapwatch_ingest_request_seconds", Help: "Time from a post's arrival to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)}),
		groupPosts: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "snapwatch_ingest_group_posts", Help: "Posts committed together.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10)}),
		bodyBytes:     prometheus.NewCounter(prometheus.CounterOpts{Name: "snapwatch_ingest_body_bytes_total", Help: "Bytes of posts after decompression."}),
		queueRefused:  prometheus.NewCounter(prometheus.CounterOpts{Name: "snapwatch_ingest_queue_refused_total", Help: "Posts refused because the queue was full."}),
		bodyBytesHeld: prometheus.NewGauge(prometheus.GaugeOpts{Name: "snapwatch_ingest_body_bytes", Help: "Bytes of posts held in memory."}),
		queueRows:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "snapwatch_ingest_queue_rows", Help: "Rows accepted and not yet committed."}),
	}
	registry.MustRegister(m.requests, m.seconds, m.groupPosts, m.bodyBytes, m.queueRefused, m.bodyBytesHeld, m.queueRows)
	return m
}
