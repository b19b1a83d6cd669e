package store

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// poolCollector collects the metrics of the connection pools, by name.
type poolCollector struct{ pools map[string]*pgxpool.Pool }

func poolDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"pool"}, nil)
}

// poolMetrics are the metrics of a pool.
var poolMetrics = []struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*pgxpool.Stat) float64
}{
	{
		poolDesc("snapwatch_store_connections_in_use", "Database connections in use, by pool."), prometheus.GaugeValue,
		func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) },
	},
	{
		poolDesc("snapwatch_store_connections_max", "Maximum number of database connections, by pool."),
		prometheus.GaugeValue, func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) },
	},
	{
		poolDesc("snapwatch_store_connection_waits_total",
			"Waits for a database connection because all of a pool were in use."),
		prometheus.CounterValue, func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) },
	},
	{
		poolDesc("snapwatch_store_connection_wait_seconds_total",
			"Time spent waiting for a database connection, by pool."),
		prometheus.CounterValue, func(s *pgxpool.Stat) float64 { return s.EmptyAcquireWaitTime().Seconds() },
	},
}

// Describe implements prometheus.Collector.
func (poolCollector) Describe(out chan<- *prometheus.Desc) {
	for _, metric := range poolMetrics {
		out <- metric.desc
	}
}

// Collect implements prometheus.Collector.
func (c poolCollector) Collect(out chan<- prometheus.Metric) {
	for name, pool := range c.pools {
		stat := pool.Stat()
		for _, metric := range poolMetrics {
			out <- prometheus.MustNewConstMetric(metric.desc, metric.kind, metric.value(stat), name)
		}
	}
}
