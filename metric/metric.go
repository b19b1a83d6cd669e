// Package metric says how snapwatch's histograms are bucketed: classic buckets for
// every scraper, native ones for those that ask for them.
package metric

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Histogram returns options with both kinds of buckets. Native ones grow by 10 %,
// are at most 100, and are made anew an hour later at the earliest.
func Histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour}
}
