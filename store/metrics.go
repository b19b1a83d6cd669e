package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/histogram"
	"github.com/snapwatch/snapwatch/store/backend"
)

// metrics are the metrics of maintenance.
type metrics struct {
	refreshSeconds                 prometheus.Histogram
	partitionsAhead, rollupsBehind prometheus.Gauge
	rollupsFailed                  prometheus.Gauge
	maintenanceFailures, dropped   prometheus.Counter
	relationBytes, retention       *prometheus.GaugeVec
	budgetBytes, oldest            prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer, pools pools) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		maintenanceFailures: counter(
			"snapwatch_store_upkeep_failures_total",
			"Failed rounds of maintenance: partitions, rollups, retention and deletion.",
		),
		partitionsAhead: gauge(
			"snapwatch_store_partitions_ahead_seconds",
			"How far in advance partitions exist. TimescaleDB creates chunks on insert.",
		),
		rollupsBehind: gauge(
			"snapwatch_store_rollups_behind_seconds",
			"Time since the end of the oldest hour whose rollups are overdue, 0 if none are.",
		),
		rollupsFailed: gauge(
			"snapwatch_store_rollups_failed",
			"Buckets of rollups that could not be computed and are tried again later. With TimescaleDB, rollups whose "+
				"last refresh failed.",
		),
		dropped: counter(
			"snapwatch_store_dropped_units_total",
			"Partitions and chunks dropped because of retention or the disk budget.",
		),
		relationBytes: prometheus.NewGaugeVec(
			prometheus.GaugeOpts{
				Name: "snapwatch_store_relation_bytes",
				Help: "Size on disk including indexes, by relation. Updated every hour.",
			},
			[]string{"relation"},
		),
		retention: prometheus.NewGaugeVec(
			prometheus.GaugeOpts{
				Name: "snapwatch_store_retention_seconds",
				Help: "Retention by level: raw, exits, 1m, 1h, 3h, 1d.",
			},
			[]string{"level"},
		),
		budgetBytes: gauge("snapwatch_store_budget_bytes", "Disk budget in bytes, 0 for none."),
		oldest: gauge(
			"snapwatch_store_oldest_timestamp_seconds",
			"Start of the oldest partition or chunk of snapshots, 0 if there is none.",
		),
		refreshSeconds: prometheus.NewHistogram(
			histogram.Options(
				"snapwatch_store_refresh_seconds", "Time to refresh the rollups.",
				prometheus.ExponentialBuckets(0.001, 4, 10),
			),
		),
	}
	registry.MustRegister(
		m.refreshSeconds,
		m.partitionsAhead,
		m.rollupsBehind,
		m.rollupsFailed,
		m.maintenanceFailures,
		m.dropped,
		m.relationBytes,
		m.retention,
		m.budgetBytes,
		m.oldest,
		poolCollector{pools.all()},
	)
	return m
}

// setRetention updates the metrics of the retention.
func (m *metrics) setRetention(keep backend.Retention) {
	for level, relation := range map[string]string{
		"raw": "snapshots", "exits": backend.ShortLived,
		"1m": "machine_1m", "1h": "machine_1h", "3h": "machine_3h", "1d": "machine_1d",
	} {
		m.retention.WithLabelValues(level).Set(keep.For(relation).Seconds())
	}
	m.budgetBytes.Set(float64(keep.BudgetBytes))
}

// setSizes updates the metrics of disk usage.
func (m *metrics) setSizes(sizes []backend.RelationSize, oldest time.Time) {
	for _, size := range sizes {
		m.relationBytes.WithLabelValues(size.Relation).Set(float64(size.Bytes))
	}
	m.oldest.Set(0)
	if !oldest.IsZero() {
		m.oldest.Set(float64(oldest.Unix()))
	}
}
