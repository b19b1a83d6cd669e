package writer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/histogram"
)

type metrics struct {
	snapshots, samples, duplicates prometheus.Counter
	commitSeconds, groupSnapshots  prometheus.Histogram
	notifies, notifyFailures       prometheus.Counter
	agentTurns                     prometheus.Counter
	shortLived                     prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		snapshots: counter("snapwatch_store_snapshots_total", "Snapshots stored."),
		samples:   counter("snapwatch_store_process_samples_total", "Rows written to process_samples."),
		shortLived: counter(
			"snapwatch_store_short_lived_total", "Short-lived processes written to their series.",
		),
		duplicates: counter(
			"snapwatch_store_duplicates_total", "Snapshots rejected because they were stored before.",
		),
		agentTurns: counter(
			"snapwatch_store_agent_turns_total",
			"Posts of an agent after those of another agent that reports as the same machine. They mean that a state "+
				"directory was copied.",
		),
		notifies: counter("snapwatch_store_notifies_total", "NOTIFY payloads sent."),
		notifyFailures: counter(
			"snapwatch_store_notify_failures_total", "Failed NOTIFY statements. Their notifications are sent again.",
		),
		commitSeconds: prometheus.NewHistogram(
			histogram.Options(
				"snapwatch_store_commit_seconds", "Time to write and commit a group of batches.",
				prometheus.ExponentialBuckets(0.001, 2, 14),
			),
		),
		groupSnapshots: prometheus.NewHistogram(
			histogram.Options(
				"snapwatch_store_group_snapshots", "Snapshots per committed group of batches.",
				prometheus.ExponentialBuckets(1, 2, 12),
			),
		),
	}
	registry.MustRegister(m.snapshots, m.samples, m.duplicates, m.commitSeconds, m.groupSnapshots,
		m.notifies, m.notifyFailures, m.agentTurns, m.shortLived)
	return m
}

// committed records a committed group.
func (m *metrics) committed(group *groupWrite, took time.Duration) {
	duplicates := 0
	for i := range group.results {
		duplicates += group.results[i].Ack.Duplicates
	}
	m.commitSeconds.Observe(took.Seconds())
	m.groupSnapshots.Observe(float64(len(group.rows)))
	m.snapshots.Add(float64(len(group.rows)))
	m.samples.Add(float64(group.samples))
	m.duplicates.Add(float64(duplicates))
	m.agentTurns.Add(float64(group.turns))
	m.shortLived.Add(float64(group.shortLived))
}
