package cachemetrics_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/cachemetrics"
)

// Two caches can use one registry. A cache without metrics needs no check.
func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	a := cachemetrics.New(registry, "a", 10, func() int { return 3 })
	cachemetrics.New(registry, "b", 20, func() int { return 4 })
	var none *cachemetrics.Metrics
	for _, m := range []*cachemetrics.Metrics{a, none} {
		m.Looked(true)
		m.Looked(false)
		m.Looked(false)
		m.Evicted(5)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			got = append(got, fmt.Sprint(family.GetName(), " ", metric.GetLabel()[0].GetValue(), " ",
				metric.GetCounter().GetValue()+metric.GetGauge().GetValue()))
		}
	}
	want := []string{
		"snapwatch_cache_entries a 3", "snapwatch_cache_entries b 4",
		"snapwatch_cache_evictions_total a 5", "snapwatch_cache_evictions_total b 0",
		"snapwatch_cache_hits_total a 1", "snapwatch_cache_hits_total b 0",
		"snapwatch_cache_limit a 10", "snapwatch_cache_limit b 20",
		"snapwatch_cache_misses_total a 2", "snapwatch_cache_misses_total b 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("metrics %q, want %q", got, want)
	}
}
