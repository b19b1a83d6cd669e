package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/snapwatch/snapwatch/bench/product"
	"github.com/snapwatch/snapwatch/internal/bearer"
)

// reading holds the counters of the machine and of the server at one moment.
type reading struct {
	server, postgres, bench time.Duration // CPU time used so far
	metrics                 map[string]float64
}

func measure(url string, server int, dir, token string) (reading, error) {
	var r reading
	postmaster, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.pid"))
	if err != nil {
		return r, err
	}
	first, _, _ := strings.Cut(string(postmaster), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return r, err
	}
	r.server, r.postgres = cpuOf(server, false), cpuOf(pid, true)
	children, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return r, err
	}
	for _, path := range children {
		if child, err := strconv.Atoi(strings.Split(path, "/")[2]); err == nil && parentOf(child) == pid {
			r.postgres += cpuOf(child, false)
		}
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return r, err
	}
	r.bench = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	r.metrics, err = scrape(url, token)
	return r, err
}

// statFields returns the fields of /proc/[pid]/stat after the name, the 3rd first.
func statFields(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}

func parentOf(pid int) int {
	fields := statFields(pid)
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// cpuOf returns the CPU time of a process, with that of its ended children if ended is true.
func cpuOf(pid int, ended bool) time.Duration {
	fields := statFields(pid)
	if len(fields) < 15 {
		return 0
	}
	last := 13
	if ended {
		last = 15
	}
	ticks := 0
	for _, field := range fields[11:last] {
		n, _ := strconv.Atoi(field)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

// scrape reads the server's metrics, and of histograms only sum and count. It adds up the series of each
// metric.
func scrape(url, token string) (map[string]float64, error) {
	response, err := (&http.Client{Transport: bearer.Transport{Token: token}}).Get(url + "/metrics")
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, err
	}
	values := make(map[string]float64)
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			switch {
			case metric.GetGauge() != nil:
				values[name] += metric.GetGauge().GetValue()
			case metric.GetCounter() != nil:
				values[name] += metric.GetCounter().GetValue()
			case metric.GetHistogram() != nil:
				values[name+"_sum"] += metric.GetHistogram().GetSampleSum()
				values[name+"_count"] += float64(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	return values, nil
}

// watchQueue reads the length of the write queue once a second and returns the maximum in each third of the
// time. A growing queue shows in the last third.
func watchQueue(ctx context.Context, url string, d time.Duration, token string) (peakRows [3]float64, err error) {
	began := time.Now()
	for time.Since(began) < d {
		values, err := scrape(url, token)
		if err != nil {
			return peakRows, err
		}
		third := min(int(3*time.Since(began)/d), 2)
		peakRows[third] = max(peakRows[third], values["snapwatch_ingest_queue_rows"])
		if err := product.Pause(ctx, time.Second); err != nil {
			return peakRows, err
		}
	}
	return peakRows, nil
}

// quantiles formats the median, the 99th percentile and the maximum.
func quantiles(list []time.Duration) string {
	if len(list) == 0 {
		return "none"
	}
	slices.Sort(list)
	at := func(q float64) time.Duration { return list[int(q*float64(len(list)-1))].Round(100 * time.Microsecond) }
	return fmt.Sprintf("p50 %s, p99 %s, max %s (%d)", at(0.5), at(0.99), at(1), len(list))
}

func report(f *fleet, w *watcher, before, after reading, took time.Duration, peakRows [3]float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	share := func(a, b time.Duration) string {
		return fmt.Sprintf("%.1f %%", 100*float64(b-a)/float64(took))
	}
	delta := func(name string) float64 { return after.metrics[name] - before.metrics[name] }
	var sinceResponse, sinceRequest []time.Duration
	for ts, at := range f.acked {
		seen, ok := w.seen[ts]
		if !ok {
			continue
		}
		sinceResponse = append(sinceResponse, max(0, seen.Sub(at[1])))
		sinceRequest = append(sinceRequest, seen.Sub(at[0]))
	}
	fmt.Printf(`
snapshots acknowledged   %d (%.1f/s); errors %v
process samples          %.0f/s logical, %.0f/s rows, %.1f B/sample on the wire
response time            %s
queue, most rows         %.0f, %.0f, %.0f in the thirds of the run
commit                   %.1f ms mean, %.1f snapshots per commit
live view, from response %s
live view, from request  %s
live view, missing       %d (at the very end of the run)
CPU of one core          server %s, PostgreSQL %s, simulator %s
`,
		f.sent, float64(f.sent)/took.Seconds(), f.faults,
		float64(f.logical)/took.Seconds(), float64(f.rows)/took.Seconds(), float64(f.bytes)/float64(max(f.logical, 1)),
		quantiles(f.latency), peakRows[0], peakRows[1], peakRows[2],
		1000*delta("snapwatch_store_commit_seconds_sum")/max(delta("snapwatch_store_commit_seconds_count"), 1),
		delta("snapwatch_store_group_snapshots_sum")/max(delta("snapwatch_store_group_snapshots_count"), 1),
		quantiles(sinceResponse), quantiles(sinceRequest), len(f.acked)-len(sinceResponse),
		share(before.server, after.server), share(before.postgres, after.postgres), share(before.bench, after.bench))
}
