package store

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/histogram"
	"github.com/snapwatch/snapwatch/store/backend"
)

// metrics is what /metrics tells of the store.
type metrics struct {
	refreshSeconds                 prometheus.Histogram
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
		refreshSeconds: prometheus.NewHistogram(
			histogram.Options(
				"snapwatch_store_refresh_seconds", "Time of a round that brings rollups up to date.",
				prometheus.ExponentialBuckets(0.001, 4, 10),
			),
		),
	}
	registry.MustRegister(
		m.refreshSeconds,
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

func poolGauge(name, help string, value func() float64) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

func poolCounter(name, help string, value func() float64) prometheus.CounterFunc {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value)
}

// keeps notes what is kept.
func (m *metrics) keeps(keep backend.Retention) {
	for level, relation := range map[string]string{"raw": "snapshots", "1m": "machine_1m", "1h": "machine_1h", "3h": "machine_3h", "1d": "machine_1d"} {
		m.retention.WithLabelValues(level).Set(keep.For(relation).Seconds())
	}
	m.budgetBytes.Set(float64(keep.BudgetBytes))
}

// takes notes what everything takes on disk.
func (m *metrics) takes(sizes []backend.RelationSize, oldest time.Time) {
	for _, size := range sizes {
		m.relationBytes.WithLabelValues(size.Relation).Set(float64(size.Bytes))
	}
	m.oldest.Set(0)
	if !oldest.IsZero() {
		m.oldest.Set(float64(oldest.Unix()))
	}
}
