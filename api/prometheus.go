package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
)

// scrapeTimeout bounds what a scrape reads of the database, below Prometheus' own
// bound of ten seconds.
const scrapeTimeout = 5 * time.Second

// machineStates tells how many machines are in each state, as counted at the scrape.
type machineStateCollector struct {
	states interface {
		States(ctx context.Context) (query.MachineStates, error)
	}
	desc *prometheus.Desc
}

func newMachineStateCollector(s *store.Store) machineStateCollector {
	return machineStateCollector{
		states: s,
		desc: prometheus.NewDesc(
			"snapwatch_machines",
			"Machines by state: up; disabled, which send only heartbeats; stale, which have not been heard of for two intervals.",
			[]string{"state"}, nil,
		),
	}
}

// Describe names the metric.
func (c machineStateCollector) Describe(descs chan<- *prometheus.Desc) { descs <- c.desc }

// Collect counts. While the database is away there is nothing to tell, and the
// other metrics say why.
func (c machineStateCollector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	states, err := c.states.States(ctx)
	if err != nil {
		return
	}
	for state, n := range map[string]int64{"up": states.Up, "disabled": states.Disabled, "stale": states.Stale} {
		metrics <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n), state)
	}
}

// machineMetric is a metric that each machine has.
type machineMetric struct {
	name, help string
	// value is the newest, false if it is not known.
	value func(m *query.Machine, stale bool) (float64, bool)
}

// machineMetrics lists them. What a stale machine last said is not told: it would
// look like the present.
var machineMetrics = []machineMetric{
	{
		"up",
		"1 if the machine is heard of, 0 if it has been silent for two intervals.",
		func(_ *query.Machine, stale bool) (float64, bool) { return boolToFloat(!stale), true },
	},
	{
		"enabled",
		"1 if its agent takes snapshots.",
		func(m *query.Machine, _ bool) (float64, bool) { return boolToFloat(m.Enabled), true },
	},
	{
		"polling_interval_seconds",
		"Seconds between two snapshots.",
		func(m *query.Machine, _ bool) (float64, bool) { return m.PollingInterval, true },
	},
	{
		"last_seen_timestamp_seconds",
		"When the machine was last heard of.",
		func(m *query.Machine, _ bool) (float64, bool) { return seconds(m.LastSeen), true },
	},
	{
		"last_snapshot_timestamp_seconds",
		"When the newest snapshot was taken.",
		func(m *query.Machine, _ bool) (float64, bool) {
			return seconds(m.LastSnapshot), m.LastSnapshot != 0
		},
	},
	{"processes", "Processes.", unlessStale(func(m *query.Machine) *float64 { n := float64(m.ProcessCount); return &n })},
	{
		"cpu_usage_ratio",
		"Share of all cores that is in use, 0 to 1.",
		unlessStale(func(m *query.Machine) *float64 { return scaled(m.Latest.CPUUsage, 0.01) }),
	},
	{"load1", "Load average of a minute.", unlessStale(func(m *query.Machine) *float64 { return m.Latest.Load1 })},
	{"load5", "Load average of five minutes.", unlessStale(func(m *query.Machine) *float64 { return m.Latest.Load5 })},
	{
		"load15",
		"Load average of a quarter of an hour.",
		unlessStale(func(m *query.Machine) *float64 { return m.Latest.Load15 }),
	},
	{
		"uptime_seconds",
		"Time since the machine started.",
		unlessStale(func(m *query.Machine) *float64 { return scaled(m.Latest.UptimeMS, 0.001) }),
	},
	{"memory_size_bytes", "Memory.", unlessStale(func(m *query.Machine) *float64 { return scaled(m.Latest.TotalRAM, 1) })},
	{
		"memory_used_bytes",
		"Memory in use.",
		unlessStale(func(m *query.Machine) *float64 { return scaled(m.Latest.UsedRAM, 1) }),
	},
	{
		"memory_available_bytes",
		"Memory that processes can get without swapping.",
		unlessStale(func(m *query.Machine) *float64 { return scaled(m.Latest.AvailableRAM, 1) }),
	},
	{"swap_size_bytes", "Swap space.", unlessStale(func(m *query.Machine) *float64 { return scaled(m.Latest.TotalSwap, 1) })},
	{
		"swap_used_bytes",
		"Swap space in use.",
		unlessStale(func(m *query.Machine) *float64 { return scaled(m.Latest.UsedSwap, 1) }),
	},
	{
		"disk_size_bytes",
		"Space of all disks.",
		unlessStale(func(m *query.Machine) *float64 { return scaled(m.Latest.TotalDisk, 1) }),
	},
	{
		"disk_used_bytes",
		"Space of all disks in use.",
		unlessStale(func(m *query.Machine) *float64 { return scaled(m.Latest.UsedDisk, 1) }),
	},
	{
		"disk_available_bytes",
		"Space of all disks that is free for users.",
		unlessStale(func(m *query.Machine) *float64 { return scaled(m.Latest.AvailableDisk, 1) }),
	},
}

// live is for what only a machine that is heard of has.
func unlessStale(of func(m *query.Machine) *float64) func(*query.Machine, bool) (float64, bool) {
	return func(m *query.Machine, stale bool) (float64, bool) {
		if stale || m.Latest == nil {
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

func scaled[T int64 | float64](v *T, factor float64) *float64 {
	if v == nil {
		return nil
	}
	scaled := float64(*v) * factor
	return &scaled
}

// machineValues tells the newest values of machines, of so many at the most.
type machineCollector struct {
	queries *query.Queries
	view    query.View
	limit   int
	now     func() time.Time
	info    *prometheus.Desc
	omitted *prometheus.Desc
	descs   []*prometheus.Desc // of machineMetrics
}

func newMachineCollector(queries *query.Queries, view query.View, limit int, now func() time.Time) *machineCollector {
	c := &machineCollector{queries: queries, view: view, limit: limit, now: now,
		info: prometheus.NewDesc("snapwatch_machine_info", "1, with what a machine says of itself.",
			[]string{"machine_id", "hostname", "os", "platform", "kernel", "architecture", "agent_version"}, nil),
		omitted: prometheus.NewDesc(
			"snapwatch_machine_metrics_omitted",
			"1 if there are more machines than --machine-metrics lets through, which are left out here.", nil, nil,
		)}
	for _, one := range machineMetrics {
		c.descs = append(
			c.descs,
			prometheus.NewDesc("snapwatch_machine_"+one.name, one.help, []string{"machine_id", "hostname"}, nil),
		)
	}
	return c
}

// Describe names the metrics.
func (c *machineCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.info
	descs <- c.omitted
	for _, desc := range c.descs {
		descs <- desc
	}
}

// Collect reads the machines, by hostname. A failure fails the scrape.
func (c *machineCollector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	machines, more, err := c.queries.Machines(ctx, query.MachinePage{View: c.view, Limit: c.limit})
	if err != nil {
		metrics <- prometheus.NewInvalidMetric(c.info, err)
		return
	}
	metrics <- prometheus.MustNewConstMetric(c.omitted, prometheus.GaugeValue, boolToFloat(more))
	now := c.now()
	for i := range machines {
		m := &machines[i]
		stale := m.Stale(now)
		metrics <- prometheus.MustNewConstMetric(c.info, prometheus.GaugeValue, 1, m.MachineID, m.Hostname, m.OS, m.Platform, m.Kernel, m.Architecture, m.AgentVersion)
		for k, one := range machineMetrics {
			if v, ok := one.value(m, stale); ok {
				metrics <- prometheus.MustNewConstMetric(c.descs[k], prometheus.GaugeValue, v, m.MachineID, m.Hostname)
			}
		}
	}
}

// mountMetrics serves the server's own metrics and, if asked for, the machines'.
func (a *API) mountMetrics(registry *prometheus.Registry) {
	registry.MustRegister(newMachineStateCollector(a.store))
	a.engine.GET(
		"/metrics",
		gin.WrapH(promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry, EnableOpenMetrics: true})),
	)
	a.engine.GET("/metrics/machines", func(c *gin.Context) {
		if a.cfg.MachineMetrics <= 0 {
			http.NotFound(c.Writer, c.Request)
			return
		}
		machines := prometheus.NewRegistry() // of the machines that the caller sees
		view := viewOf(c.Request.Context())
		machines.MustRegister(newMachineCollector(a.store.Queries, view, a.cfg.MachineMetrics, a.cfg.Now))
		promhttp.HandlerFor(machines, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.HTTPErrorOnError}).
			ServeHTTP(c.Writer, c.Request)
	})
}
