// Package histogram sets the bucket layout of snapwatch's Prometheus histograms.
package histogram

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options returns the options of a histogram with both classic and native buckets.
// Native buckets grow by 10 %, number at most 100 and are reset at most once an hour.
func Options(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}
}
