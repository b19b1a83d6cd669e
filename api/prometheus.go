package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
)

// scrapeTimeout limits the database queries of a scrape. It is below Prometheus' default timeout of ten seconds.
const scrapeTimeout = 5 * time.Second

// mountMetrics mounts the server's own metrics and the metrics of the machines.
func (a *API) mountMetrics(registry *prometheus.Registry) {
	registry.MustRegister(newMachineStateCollector(a.store))
	a.engine.GET("/metrics", gin.WrapH(promhttp.HandlerFor(registry,
		promhttp.HandlerOpts{Registry: registry, EnableOpenMetrics: true})))
	a.engine.GET("/metrics/machines", a.machineMetrics)
}

// machineMetrics serves the metrics of the machines that the caller may read.
func (a *API) machineMetrics(c *gin.Context) {
	if a.cfg.MachineMetrics <= 0 {
		http.NotFound(c.Writer, c.Request)
		return
	}
	view := viewOf(c.Request.Context())
	registry := prometheus.NewRegistry()
	registry.MustRegister(newMachineCollector(a.store.Queries, view, a.cfg.MachineMetrics, a.cfg.Now))
	options := promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.HTTPErrorOnError}
	promhttp.HandlerFor(registry, options).ServeHTTP(c.Writer, c.Request)
}

// machineStateCollector collects the number of machines in each state.
type machineStateCollector struct {
	store           *store.Store
	desc, competing *prometheus.Desc
}

func newMachineStateCollector(s *store.Store) machineStateCollector {
	return machineStateCollector{
		store: s,
		desc: prometheus.NewDesc("snapwatch_machines",
			"Machines by state: up; disabled, which send only heartbeats; "+
				"waiting, which have not sent a snapshot yet; stale, which missed two intervals.",
			[]string{"state"}, nil),
		competing: prometheus.NewDesc("snapwatch_machines_competing_agents",
			"Machines as which several agents report in turns, because their state directory "+
				"was copied.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c machineStateCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.desc
	descs <- c.competing
}

// Collect implements prometheus.Collector. If the database is unavailable it collects nothing; other metrics report the
// failure.
func (c machineStateCollector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	states, err := c.store.States(ctx)
	if err != nil {
		return
	}
	for state, n := range map[string]int64{
		"up": states.Up, "disabled": states.Disabled, "waiting": states.Waiting, "stale": states.Stale,
	} {
		metrics <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n), state)
	}
	metrics <- prometheus.MustNewConstMetric(c.competing, prometheus.GaugeValue, float64(states.Competing))
}

// machineMetric is a metric of each machine.
type machineMetric struct {
	name, help string
	// value returns the latest value, and false if there is none.
	value func(m *query.Machine, now time.Time) (float64, bool)
}

// machineMetrics are the metrics of a machine. If its latest snapshot is not current, it has no system metrics, because
// old values would look like current ones.
var machineMetrics = []machineMetric{
	{"up", "1 if the machine is up, 0 if it missed two intervals or no snapshot has arrived yet.",
		func(m *query.Machine, now time.Time) (float64, bool) {
			return boolToFloat(!m.Stale(now) && !m.Waiting()), true
		}},
	{"enabled", "1 if the agent is configured to take snapshots.",
		func(m *query.Machine, _ time.Time) (float64, bool) { return boolToFloat(m.Enabled), true }},
	{"competing_agents",
		"1 if several agents report as the machine in turns, because their state directory was copied.",
		func(m *query.Machine, _ time.Time) (float64, bool) {
			return boolToFloat(m.CompetingAgents != nil), true
		}},
	{"polling_interval_seconds", "Configured time between two snapshots.",
		func(m *query.Machine, _ time.Time) (float64, bool) { return m.PollingInterval, true }},
	{"last_seen_timestamp_seconds", "Time of the last request from the agent.",
		func(m *query.Machine, _ time.Time) (float64, bool) { return seconds(m.LastSeen), true }},
	{"last_snapshot_timestamp_seconds", "Time of the latest snapshot.",
		func(m *query.Machine, _ time.Time) (float64, bool) {
			return seconds(m.LastSnapshot), m.LastSnapshot != 0
		}},
	{"processes", "Number of processes.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.ProcessCount, 1) })},
	{"cpu_usage_ratio", "CPU usage of all cores, 0 to 1.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.CPUUsage, 0.01) })},
	{"load1", "Load average over 1 minute.",
		ifCurrent(func(m *query.Machine) *float64 { return m.Latest.Load1 })},
	{"load5", "Load average over 5 minutes.",
		ifCurrent(func(m *query.Machine) *float64 { return m.Latest.Load5 })},
	{"load15", "Load average over 15 minutes.",
		ifCurrent(func(m *query.Machine) *float64 { return m.Latest.Load15 })},
	{"uptime_seconds", "Time since the machine booted.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.UptimeMS, 0.001) })},
	{"memory_size_bytes", "Total memory.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.TotalRAM, 1) })},
	{"memory_used_bytes", "Memory that is not available.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.UsedRAM, 1) })},
	{"memory_available_bytes", "Memory available to processes without swapping.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.AvailableRAM, 1) })},
	{"memory_buffers_bytes", "Buffers of block devices.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.BuffersRAM, 1) })},
	{"memory_cached_bytes", "Page cache with tmpfs, shared memory and reclaimable slab.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.CachedRAM, 1) })},
	{"memory_shared_bytes", "Shared memory and tmpfs.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.SharedRAM, 1) })},
	{"memory_slab_bytes", "Data structures of the kernel.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.SlabRAM, 1) })},
	{"swap_size_bytes", "Total swap space.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.TotalSwap, 1) })},
	{"swap_used_bytes", "Swap space in use.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.UsedSwap, 1) })},
	{"disk_size_bytes", "Total size of all file systems.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.TotalDisk, 1) })},
	{"disk_used_bytes", "Used space of all file systems.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.UsedDisk, 1) })},
	{"disk_available_bytes", "Space of all file systems that is available to users.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.AvailableDisk, 1) })},
	{"fullest_disk_usage_ratio", "Used share of the fullest file system, 0 to 1.",
		ifCurrent(func(m *query.Machine) *float64 { return scaled(m.Latest.FullestDiskUsage, 0.01) })},
	{"stale_sources", "File systems and other sources that did not answer in time for the latest snapshot.",
		ifCurrent(func(m *query.Machine) *float64 { n := float64(len(m.Latest.Stale)); return &n })},
}

// maxFileSystems limits the file systems of a machine that have metrics.
const maxFileSystems = 50

// fileSystemMetrics are the metrics of a file system that answered for the latest snapshot.
var fileSystemMetrics = []struct {
	name, help string
	value      func(f *query.FileSystem) float64
}{
	{"size_bytes", "Size of a file system.", func(f *query.FileSystem) float64 { return float64(*f.Total) }},
	{"used_bytes", "Used space of a file system.", func(f *query.FileSystem) float64 { return float64(*f.Used) }},
	{"available_bytes", "Space of a file system that is available to users.",
		func(f *query.FileSystem) float64 { return float64(*f.Available) }},
	{"read_only", "1 if a file system cannot be written, so that it cannot fill.",
		func(f *query.FileSystem) float64 { return boolToFloat(f.ReadOnly) }},
}

// ifCurrent returns the value function of a system metric. There is none if the latest snapshot is not current.
func ifCurrent(of func(m *query.Machine) *float64) func(*query.Machine, time.Time) (float64, bool) {
	return func(m *query.Machine, now time.Time) (float64, bool) {
		if m.Latest == nil || m.Outdated(now) {
			return 0, false
		}
		if v := of(m); v != nil {
			return *v, true
		}
		return 0, false
	}
}

func boolToFloat(v bool) float64 {
	if v {
		return 1
	}
	return 0
}

func seconds(t snapshot.Time) float64 { return float64(t) / 1000 }

func scaled[T int32 | int64 | float64](v *T, factor float64) *float64 {
	if v == nil {
		return nil
	}
	scaled := float64(*v) * factor
	return &scaled
}

// machineCollector collects the metrics of the first machines of a view.
type machineCollector struct {
	queries *query.Queries
	view    query.View
	limit   int
	now     func() time.Time
	info    *prometheus.Desc
	omitted *prometheus.Desc
	descs   []*prometheus.Desc // of machineMetrics, in the same order

	fileSystems        []*prometheus.Desc // of fileSystemMetrics, in the same order
	fileSystemsOmitted *prometheus.Desc
}

func newMachineCollector(queries *query.Queries, view query.View, limit int, now func() time.Time) *machineCollector {
	c := &machineCollector{
		queries: queries,
		view:    view,
		limit:   limit,
		now:     now,
		info: prometheus.NewDesc("snapwatch_machine_info", "Properties of the machine as labels; the value is 1.",
			[]string{"machine_id", "hostname", "os", "platform", "kernel", "architecture", "agent_version"}, nil),
		omitted: prometheus.NewDesc("snapwatch_machine_metrics_omitted",
			"1 if machines are missing because there are more than --machine-metrics.", nil, nil),
	}
	for _, metric := range machineMetrics {
		c.descs = append(c.descs, prometheus.NewDesc(
			"snapwatch_machine_"+metric.name, metric.help, []string{"machine_id", "hostname"}, nil))
	}
	for _, metric := range fileSystemMetrics {
		c.fileSystems = append(c.fileSystems, prometheus.NewDesc("snapwatch_machine_filesystem_"+metric.name,
			metric.help, []string{"machine_id", "hostname", "device", "mount", "type"}, nil))
	}
	c.fileSystemsOmitted = prometheus.NewDesc("snapwatch_machine_filesystems_omitted",
		fmt.Sprintf("File systems of a machine without metrics, because it has more than %d.", maxFileSystems),
		[]string{"machine_id", "hostname"}, nil)
	return c
}

// Describe implements prometheus.Collector.
func (c *machineCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.info
	descs <- c.omitted
	for _, desc := range slices.Concat(c.descs, c.fileSystems) {
		descs <- desc
	}
	descs <- c.fileSystemsOmitted
}

// Collect implements prometheus.Collector. An error of the database fails the scrape.
func (c *machineCollector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	machines, more, err := c.queries.Machines(ctx, query.MachinePage{View: c.view, Limit: c.limit})
	if err != nil {
		metrics <- prometheus.NewInvalidMetric(c.info, err)
		return
	}
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	gauge(c.omitted, boolToFloat(more))
	now := c.now()
	hostnames := make(map[string]string, len(machines))
	var current []string
	for i := range machines {
		if m := &machines[i]; m.Latest != nil && !m.Outdated(now) {
			hostnames[m.MachineID], current = m.Hostname, append(current, m.MachineID)
		}
	}
	fileSystems, err := c.queries.FileSystems(ctx, current, maxFileSystems)
	if err != nil {
		metrics <- prometheus.NewInvalidMetric(c.fileSystemsOmitted, err)
		return
	}
	omitted := make(map[string]int64, len(current))
	for i := range fileSystems {
		f := &fileSystems[i]
		for k, metric := range fileSystemMetrics {
			gauge(c.fileSystems[k], metric.value(f), f.MachineID, hostnames[f.MachineID], f.Device, f.Mount, f.Type)
		}
		omitted[f.MachineID] = max(f.Listed-maxFileSystems, 0)
	}
	for machineID, n := range omitted {
		gauge(c.fileSystemsOmitted, float64(n), machineID, hostnames[machineID])
	}
	for i := range machines {
		m := &machines[i]
		gauge(c.info, 1, m.MachineID, m.Hostname, m.OS, m.Platform, m.Kernel, m.Architecture, m.AgentVersion)
		for k, metric := range machineMetrics {
			if v, ok := metric.value(m, now); ok {
				gauge(c.descs[k], v, m.MachineID, m.Hostname)
			}
		}
	}
}
