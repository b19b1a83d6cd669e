// Package cachemetrics provides the Prometheus metrics that all caches have. The label cache is the cache's name.
package cachemetrics

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts the use of one cache. Its methods may be called on nil, and then do nothing.
type Metrics struct{ hits, misses, evictions prometheus.Counter }

// New registers the metrics of a cache. entries returns its current size, limit is its maximum size. A registry holds
// any number of caches with different names.
func New(registry prometheus.Registerer, cache string, limit int, entries func() int) *Metrics {
	labels := prometheus.Labels{"cache": cache}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value)
	}
	m := &Metrics{
		hits:   counter("snapwatch_cache_hits_total", "Look-ups that a cache answered."),
		misses: counter("snapwatch_cache_misses_total", "Look-ups that a cache could not answer."),
		evictions: counter(
			"snapwatch_cache_evictions_total", "Entries removed from a cache because it was full.",
		),
	}
	registry.MustRegister(m.hits, m.misses, m.evictions,
		gauge("snapwatch_cache_entries",
			"Entries of a cache. tokens: tokens and sessions. runs: processes at the last snapshots of machines, one "+
				"more for each machine. texts: commands and owners of short-lived processes.",
			func() float64 { return float64(entries()) }),
		gauge("snapwatch_cache_limit", "Maximum number of entries of a cache.",
			func() float64 { return float64(limit) }))
	return m
}

// Looked counts a look-up.
func (m *Metrics) Looked(hit bool) {
	switch {
	case m == nil:
	case hit:
		m.hits.Inc()
	default:
		m.misses.Inc()
	}
}

// Evicted counts the entries that were removed because the cache was full.
func (m *Metrics) Evicted(n int) {
	if m != nil {
		m.evictions.Add(float64(n))
	}
}
