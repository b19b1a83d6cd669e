package agent

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// figures counts what the agent does, for its own metrics.
type figures struct {
	recorded, failed, ended, unseen                atomic.Int64
	sampleNanos                                    atomic.Int64
	processes                                      atomic.Int64
	posts, postFailures, sent, sentBytes, setAside atomic.Int64
	acknowledged                                   atomic.Int64 // when, in milliseconds since 1970
}

// WriteMetrics writes the agent's figures as Prometheus reads them. The agent links no
// Prometheus library: that would be a quarter of its size.
func (a *Agent) WriteMetrics(w io.Writer) error {
	f := &a.recorder.figures
	waiting, bytesWaiting, dropped := a.sender.queue.size()
	cpu, resident, err := ownUsage()
	var out bytes.Buffer
	metric := func(name, kind, help string, value any) {
		fmt.Fprintf(
			&out, "# HELP snapwatch_agent_%s %s\n# TYPE snapwatch_agent_%s %s\nsnapwatch_agent_%s %v\n", name, help,
			name, kind, name, value,
		)
	}
	metric("snapshots_recorded_total", "counter", "Snapshots taken since the agent began.", f.recorded.Load())
	metric("sample_failures_total", "counter", "Samples that failed.", f.failed.Load())
	metric("sample_seconds_total", "counter", "Time that samples took.", time.Duration(f.sampleNanos.Load()).Seconds())
	metric("processes", "gauge", "Processes in the newest snapshot.", f.processes.Load())
	metric(
		"processes_ended_total", "counter", "Processes whose end was recorded with what they spent last.",
		f.ended.Load(),
	)
	metric(
		"processes_unseen_total", "counter",
		"Processes and threads, at most, that began and ended between two snapshots and are in none.",
		f.unseen.Load(),
	)
	metric(
		"interval_seconds", "gauge", "Time between two snapshots, as the server and the watchdog have it.",
		a.recorder.pace().Seconds(),
	)
	metric("posts_total", "counter", "Posts that the server took.", f.posts.Load())
	metric("post_failures_total", "counter", "Posts that it did not take.", f.postFailures.Load())
	metric("snapshots_sent_total", "counter", "Snapshots that the server has acknowledged.", f.sent.Load())
	metric("sent_bytes_total", "counter", "Bytes of posts, compressed.", f.sentBytes.Load())
	metric("snapshots_waiting", "gauge", "Snapshots that the server does not have yet.", waiting)
	metric("waiting_bytes", "gauge", "Bytes that they take.", bytesWaiting)
	metric(
		"snapshots_dropped_total", "counter",
		"Snapshots that the server will not have, for want of room or because it refused them.", dropped,
	)
	metric("snapshots_set_aside_total", "counter", "Snapshots that the server refused for good.", f.setAside.Load())
	metric(
		"acknowledged_timestamp_seconds", "gauge", "When the server acknowledged last.",
		float64(f.acknowledged.Load())/1000,
	)
	if err == nil {
		metric("cpu_seconds_total", "counter", "CPU time of the agent.", cpu.Seconds())
		metric("resident_bytes", "gauge", "Resident memory of the agent.", resident)
	}
	_, err = w.Write(out.Bytes())
	return err
}
