package main

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/snapwatch/snapwatch/internal/buildinfo"
	"github.com/snapwatch/snapwatch/store/embedded"
)

// registerClusterMetrics registers the metrics of the private database.
func registerClusterMetrics(registry prometheus.Registerer, state func() embedded.State) {
	gauge := func(name, help string, value func(embedded.State) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(state()) },
		)
	}
	registry.MustRegister(
		gauge("snapwatch_database_disk_free_bytes", "Free space of the disk of the private database.",
			func(s embedded.State) float64 { return float64(s.Disk.Free) }),
		gauge("snapwatch_database_disk_required_bytes",
			"Free space of the disk of the private database below which snapshots are refused.",
			func(s embedded.State) float64 { return float64(s.Disk.Required) }),
		gauge("snapwatch_database_disk_free_inodes",
			"Free inodes of the disk of the private database. 0, as the required ones, if their number is not limited.",
			func(s embedded.State) float64 { return float64(s.Disk.Inodes.Free) }),
		gauge("snapwatch_database_disk_required_inodes",
			"Free inodes of the disk of the private database below which snapshots are refused.",
			func(s embedded.State) float64 { return float64(s.Disk.Inodes.Required) }),
		gauge("snapwatch_database_up", "Whether the private database runs: 1 yes, 0 no.",
			func(s embedded.State) float64 {
				if s.Running {
					return 1
				}
				return 0
			}),
		prometheus.NewCounterFunc(
			prometheus.CounterOpts{
				Name: "snapwatch_database_restarts_total",
				Help: "How often the server started the private database again, because it had ended or was upgraded.",
			},
			func() float64 { return float64(state().Restarts) },
		),
	)
}

// newRegistry returns a registry with the metrics of the build, of the Go runtime and of the process.
func newRegistry() *prometheus.Registry {
	build := buildinfo.Read()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "snapwatch_build_info",
		Help: "Always 1. The labels describe the server's build.",
		ConstLabels: prometheus.Labels{
			"version": build.Version, "revision": build.Revision, "goversion": runtime.Version(),
		},
	})
	info.Set(1)
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}
