package agent

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// stats counts what the recorder does, for the agent's metrics.
type stats struct {
	recorded, failed, slow, stale, exited, unseen, sampleNanos, processes atomic.Int64
}

// WriteMetrics writes the agent's metrics in the text format of Prometheus. The agent does not link the Prometheus
// client library, which would be a quarter of its size.
func (a *Agent) WriteMetrics(w io.Writer) error {
	recorded, sent := &a.recorder.stats, a.sender.Stats()
	waiting, waitingBytes, dropped := a.queue.Size()
	cpu, resident, err := ownUsage()
	var out bytes.Buffer
	metric := func(name, kind, help string, value any) {
		const format = "# HELP snapwatch_agent_%s %s\n# TYPE snapwatch_agent_%s %s\nsnapwatch_agent_%s %v\n"
		fmt.Fprintf(&out, format, name, help, name, kind, name, value)
	}
	counter := func(name, help string, value any) { metric(name, "counter", help, value) }
	gauge := func(name, help string, value any) { metric(name, "gauge", help, value) }

	counter("snapshots_recorded_total", "Snapshots recorded.", recorded.recorded.Load())
	counter("sample_failures_total", "Samples that failed.", recorded.failed.Load())
	counter("samples_slow_total", "Samples that took more than ten seconds.", recorded.slow.Load())
	gauge("stale_sources", "File systems and other sources that did not answer in time for the newest snapshot.",
		recorded.stale.Load())
	counter("sample_seconds_total", "Time spent sampling.", time.Duration(recorded.sampleNanos.Load()).Seconds())
	gauge("processes", "Processes in the newest snapshot.", recorded.processes.Load())
	counter("processes_ended_total", "Exited processes recorded with what they used last.", recorded.exited.Load())
	counter("processes_unseen_total", "Upper bound of processes and threads that started and exited between two "+
		"snapshots and are in none.", recorded.unseen.Load())
	reader := a.sampler.Reader()
	withBPF := 0
	if reader.BPF {
		withBPF = 1
	}
	gauge("bpf", "1 if processes are read with BPF, 0 if they are read from /proc.", withBPF)
	counter("bpf_failures_total", "How often BPF failed, so that processes were read from /proc.", reader.Failures)
	counter("bpf_events_lost_total", "BPF events that did not fit the buffer.", reader.LostEvents)
	counter("bpf_differences_total", "Processes that /proc had and BPF had not, at full snapshots.", reader.Differences)
	gauge("interval_seconds", "Current time between two snapshots.", a.recorder.pace().Seconds())
	counter("posts_total", "Posts accepted by the server.", sent.Posts)
	counter("post_failures_total", "Posts not accepted by the server.", sent.PostFailures)
	counter("snapshots_sent_total", "Snapshots acknowledged by the server.", sent.Snapshots)
	counter("sent_bytes_total", "Compressed bytes of accepted posts.", sent.Bytes)
	gauge("snapshots_waiting", "Snapshots not sent yet.", waiting)
	gauge("waiting_bytes", "Bytes of the snapshots not sent yet.", waitingBytes)
	counter("snapshots_dropped_total", "Snapshots dropped because the queue was full or the server refused them.",
		dropped)
	counter("snapshots_set_aside_total", "Snapshots quarantined because the server refused them.", sent.Quarantined)
	gauge("acknowledged_timestamp_seconds", "Unix time of the last acknowledgement.", float64(sent.Acknowledged)/1000)
	if err == nil {
		counter("cpu_seconds_total", "CPU time used by the agent.", cpu.Seconds())
		gauge("resident_bytes", "Resident memory of the agent.", resident)
	}
	_, err = w.Write(out.Bytes())
	return err
}
