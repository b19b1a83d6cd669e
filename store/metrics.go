package store

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/histogram"
)

// metrics is what /metrics tells of the store.
type metrics struct {
	snapshots, samples, duplicates prometheus.Counter
	commitSeconds, groupSnapshots  prometheus.Histogram
	refreshSeconds                 prometheus.Histogram
	readSeconds                    *prometheus.HistogramVec
	notifies, notifyFailures       prometheus.Counter
	partitionsAhead, rollupsBehind prometheus.Gauge
	upkeepFailures, dropped        prometheus.Counter
	relationBytes, retention       *prometheus.GaugeVec
	budgetBytes, oldest            prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer, pool *pgxpool.Pool) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		snapshots: counter("snapwatch_store_snapshots_total", "Snapshots stored."),
		samples:   counter("snapwatch_store_process_samples_total", "Rows written to process_samples."),
		duplicates: counter(
			"snapwatch_store_duplicates_total", "Snapshots turned away because they were stored before.",
		),
		notifies: counter("snapwatch_store_notifies_total", "NOTIFY payloads sent."),
		notifyFailures: counter(
			"snapwatch_store_notify_failures_total", "Rounds of NOTIFY that failed and were kept for the next.",
		),
		upkeepFailures: counter(
			"snapwatch_store_upkeep_failures_total", "Rounds of partition making, retention or deletion that failed.",
		),
		partitionsAhead: gauge(
			"snapwatch_store_partitions_ahead_seconds",
			"How far ahead days have their partitions; TimescaleDB makes chunks when rows come.",
		),
		rollupsBehind: gauge(
			"snapwatch_store_rollups_behind_seconds",
			"How long ago the oldest hour ended that has no rollups and should have; 0 if there is none.",
		),
		dropped: counter(
			"snapwatch_store_dropped_units_total", "Partitions and chunks dropped for retention or the budget.",
		),
		relationBytes: prometheus.NewGaugeVec(
			prometheus.GaugeOpts{
				Name: "snapwatch_store_relation_bytes",
				Help: "Bytes on disk with indexes, by relation; read anew each hour.",
			},
			[]string{"relation"},
		),
		retention: prometheus.NewGaugeVec(
			prometheus.GaugeOpts{
				Name: "snapwatch_store_retention_seconds",
				Help: "How long rows are kept, by level: raw, 1m, 1h, 3h, 1d.",
			},
			[]string{"level"},
		),
		budgetBytes: gauge("snapwatch_store_budget_bytes", "Bytes that everything may take; 0 for no budget."),
		oldest: gauge(
			"snapwatch_store_oldest_timestamp_seconds",
			"Begin of the oldest partition or chunk of snapshots; 0 if there is none.",
		),
		commitSeconds: prometheus.NewHistogram(
			histogram.Options(
				"snapwatch_store_commit_seconds", "Time to write and commit a group.",
				prometheus.ExponentialBuckets(0.001, 2, 14),
			),
		),
		refreshSeconds: prometheus.NewHistogram(
			histogram.Options(
				"snapwatch_store_refresh_seconds", "Time of a round that brings rollups up to date.",
				prometheus.ExponentialBuckets(0.001, 4, 10),
			),
		),
		groupSnapshots: prometheus.NewHistogram(
			histogram.Options(
				"snapwatch_store_group_snapshots", "Snapshots in a committed group.",
				prometheus.ExponentialBuckets(1, 2, 12),
			),
		),
		readSeconds: prometheus.NewHistogramVec(
			histogram.Options(
				"snapwatch_store_read_seconds", "Time of a read, by kind.",
				prometheus.ExponentialBuckets(0.0005, 2, 14),
			),
			[]string{"kind"},
		),
	}
	for _, kind := range readKinds { // so that a rate begins with the first read
		m.readSeconds.WithLabelValues(kind)
	}
	registry.MustRegister(
		m.snapshots,
		m.samples,
		m.duplicates,
		m.commitSeconds,
		m.groupSnapshots,
		m.refreshSeconds,
		m.readSeconds,
		m.notifies,
		m.notifyFailures,
		m.partitionsAhead,
		m.rollupsBehind,
		m.upkeepFailures,
		m.dropped,
		m.relationBytes,
		m.retention,
		m.budgetBytes,
		m.oldest,
		poolGauge(
			"snapwatch_store_connections_in_use", "Connections of the pool that are in use.",
			func() float64 { return float64(pool.Stat().AcquiredConns()) },
		),
		poolGauge(
			"snapwatch_store_connections_max", "Most connections that the pool opens.",
			func() float64 { return float64(pool.Stat().MaxConns()) },
		),
		poolCounter(
			"snapwatch_store_connection_waits_total", "Times that all connections were in use.",
			func() float64 { return float64(pool.Stat().EmptyAcquireCount()) },
		),
		poolCounter(
			"snapwatch_store_connection_wait_seconds_total", "Time waited for a connection.",
			func() float64 { return pool.Stat().EmptyAcquireWaitTime().Seconds() },
		),
	)
	return m
}

// readKinds are the reads that readSeconds tells apart.
var readKinds = []string{
	"machines",
	"machine",
	"range",
	"at",
	"after",
	"chart",
	"top",
	"process",
	"name",
	"diff",
	"fleet_at",
	"fleet_window",
	"storage",
}

func poolGauge(name, help string, value func() float64) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

func poolCounter(name, help string, value func() float64) prometheus.CounterFunc {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value)
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

// keeps notes what is kept.
func (m *metrics) keeps(keep Retention) {
	for level, relation := range map[string]string{"raw": "snapshots", "1m": "machine_1m", "1h": "machine_1h", "3h": "machine_3h", "1d": "machine_1d"} {
		m.retention.WithLabelValues(level).Set(keep.of(relation).Seconds())
	}
	m.budgetBytes.Set(float64(keep.BudgetBytes))
}

// takes notes what everything takes on disk.
func (m *metrics) takes(sizes []RelationSize, oldest time.Time) {
	for _, size := range sizes {
		m.relationBytes.WithLabelValues(size.Relation).Set(float64(size.Bytes))
	}
	m.oldest.Set(0)
	if !oldest.IsZero() {
		m.oldest.Set(float64(oldest.Unix()))
	}
}

func (m *metrics) observeRead(kind string, started time.Time) {
	m.readSeconds.WithLabelValues(kind).Observe(time.Since(started).Seconds())
}
