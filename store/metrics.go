package store

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what /metrics tells of the store.
type metrics struct {
	snapshots, samples, duplicates prometheus.Counter
	commitSeconds, groupSnapshots  prometheus.Histogram
	refreshSeconds                 prometheus.Histogram
	readSeconds                    *prometheus.HistogramVec
	notifies, notifyFailures       prometheus.Counter
	partitionsAhead                prometheus.Gauge
	upkeepFailures                 prometheus.Counter
}

func newMetrics(registry prometheus.Registerer, pool *pgxpool.Pool) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		snapshots:       counter("snapwatch_store_snapshots_total", "Snapshots stored."),
		samples:         counter("snapwatch_store_process_samples_total", "Rows written to process_samples."),
		duplicates:      counter("snapwatch_store_duplicates_total", "Snapshots turned away because they were stored before."),
		notifies:        counter("snapwatch_store_notifies_total", "NOTIFY payloads sent."),
		notifyFailures:  counter("snapwatch_store_notify_failures_total", "Rounds of NOTIFY that failed and were kept for the next."),
		upkeepFailures:  counter("snapwatch_store_upkeep_failures_total", "Rounds of partition making, retention or deletion that failed."),
		partitionsAhead: prometheus.NewGauge(prometheus.GaugeOpts{Name: "snapwatch_store_partitions_ahead_days", Help: "Days after today that have their partitions."}),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "snapwatch_store_commit_seconds", Help: "Time to write and commit a group.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}),
		refreshSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "snapwatch_store_refresh_seconds", Help: "Time of a round that brings rollups up to date.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10)}),
		groupSnapshots: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "snapwatch_store_group_snapshots", Help: "Snapshots in a committed group.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12)}),
		readSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "snapwatch_store_read_seconds", Help: "Time of a read, by kind.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}, []string{"kind"}),
	}
	registry.MustRegister(m.snapshots, m.samples, m.duplicates, m.commitSeconds, m.groupSnapshots, m.refreshSeconds, m.readSeconds,
		m.notifies, m.notifyFailures, m.partitionsAhead, m.upkeepFailures,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "snapwatch_store_connections_in_use", Help: "Connections of the pool that are in use."},
			func() float64 { return float64(pool.Stat().AcquiredConns()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "snapwatch_store_connections_max", Help: "Most connections that the pool opens."},
			func() float64 { return float64(pool.Stat().MaxConns()) }))
	return m
}

func (m *metrics) committed(w *groupWrite, took time.Duration) {
	duplicates := 0
	for i := range w.outcomes {
		duplicates += w.outcomes[i].Ack.Duplicates
	}
	m.commitSeconds.Observe(took.Seconds())
	m.groupSnapshots.Observe(float64(len(w.rows)))
	m.snapshots.Add(float64(len(w.rows)))
	m.samples.Add(float64(w.samples))
	m.duplicates.Add(float64(duplicates))
}

func (m *metrics) observeRead(kind string, started time.Time) {
	m.readSeconds.WithLabelValues(kind).Observe(time.Since(started).Seconds())
}
