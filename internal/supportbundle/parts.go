package supportbundle

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"

	"github.com/snapwatch/snapwatch/internal/doctor"
	"github.com/snapwatch/snapwatch/internal/finding"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/embedded"
	"github.com/snapwatch/snapwatch/store/inspection"
)

// system returns facts about this machine.
func (b *bundle) system(ctx context.Context) ([]byte, error) {
	facts := map[string]any{
		"time": b.now.UTC().Format(time.RFC3339), "time_zone": b.now.Format("-07:00"), "os": runtime.GOOS,
		"architecture": runtime.GOARCH, "cores": runtime.NumCPU(), "go": runtime.Version(),
	}
	// What a system does not have is left out.
	if platform, family, version, err := host.PlatformInformationWithContext(ctx); err == nil {
		facts["platform"] = platform + " " + version + " (" + family + ")"
	}
	if kernel, err := host.KernelVersionWithContext(ctx); err == nil {
		facts["kernel"] = kernel
	}
	if seconds, err := host.UptimeWithContext(ctx); err == nil {
		facts["uptime_seconds"] = seconds
	}
	if processors, err := cpu.InfoWithContext(ctx); err == nil && len(processors) > 0 {
		facts["processor"] = processors[0].ModelName
	}
	if average, err := load.AvgWithContext(ctx); err == nil {
		facts["load"] = []float64{average.Load1, average.Load5, average.Load15}
	}
	if memory, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		facts["memory_bytes"], facts["memory_available_bytes"] = memory.Total, memory.Available
		facts["swap_bytes"] = memory.SwapTotal
	}
	if b.cfg.Doctor.DatabaseURL == "" {
		if cluster, err := embedded.Inspect(ctx, b.cfg.Doctor.DataDir, b.cfg.Doctor.Database.PostgresBin); err == nil {
			facts["disk_free_bytes"], facts["disk_bytes"] = cluster.Disk.Free, cluster.Disk.Total
		}
	}
	return encode(facts)
}

// doctor returns the findings of the doctor.
func (b *bundle) doctor(ctx context.Context) ([]byte, error) {
	var out bytes.Buffer
	err := finding.Print(&out, doctor.Examine(ctx, b.cfg.Doctor))
	return out.Bytes(), err
}

// readiness returns the response of /readyz, whatever its status.
func (b *bundle) readiness(ctx context.Context) ([]byte, error) {
	address, client, err := b.cfg.Doctor.Client()
	if err != nil {
		return nil, err
	}
	got, err := doctor.Get(ctx, client, address+"/readyz", "")
	if err != nil {
		return nil, err
	}
	return got.Body, nil
}

// serverParts returns what the running server knows about itself.
func (b *bundle) serverParts() []part {
	admin, err := b.cfg.Doctor.AdminClient()
	if err == nil && admin == nil {
		return []part{{name: "metrics.txt", collect: b.publicMetrics}}
	}
	get := func(path string) func(context.Context) ([]byte, error) {
		return func(ctx context.Context) ([]byte, error) {
			if err != nil {
				return nil, err
			}
			return fetch(ctx, admin, "http://localhost"+path, "")
		}
	}
	parts := []part{
		{name: "metrics.txt", collect: get("/metrics")},
		{name: "goroutines.txt", collect: get("/debug/goroutines")},
		{name: "heap.pb.gz", collect: get("/debug/pprof/heap"), compressed: true},
	}
	if b.cfg.ProfileSeconds > 0 {
		path := fmt.Sprintf("/debug/pprof/profile?seconds=%d", b.cfg.ProfileSeconds)
		parts = append(parts, part{name: "cpu.pb.gz", collect: get(path), compressed: true})
	}
	return parts
}

// publicMetrics reads the metrics with the token of the settings.
func (b *bundle) publicMetrics(ctx context.Context) ([]byte, error) {
	token := b.cfg.Doctor.Access.MetricsToken
	if token == "" {
		return nil, errors.New("set --admin-listen or SNAPWATCH_METRICS_TOKEN as for the server")
	}
	address, client, err := b.cfg.Doctor.Client()
	if err != nil {
		return nil, err
	}
	return fetch(ctx, client, address+"/metrics", token)
}

// databaseParts returns what describes the database.
func (b *bundle) databaseParts() []part {
	var address string
	cluster := embedded.Inspection{}
	if address = b.cfg.Doctor.DatabaseURL; address == "" {
		cluster, _ = embedded.Inspect(context.Background(), b.cfg.Doctor.DataDir, b.cfg.Doctor.Database.PostgresBin)
		address, _ = embedded.FindURL(b.cfg.Doctor.DataDir) // "" if there is none
	}
	with := func(read func(context.Context, *inspection.Database) (any, error)) func(context.Context) ([]byte, error) {
		return func(ctx context.Context) ([]byte, error) {
			if address == "" {
				return nil, embedded.ErrNoCluster
			}
			database, err := inspection.Connect(ctx, address)
			if err != nil {
				return nil, err
			}
			defer database.Close()
			value, err := read(ctx, database)
			if err != nil {
				return nil, err
			}
			return encode(value)
		}
	}
	parts := []part{
		{name: "database/schema.json", collect: with(func(ctx context.Context, _ *inspection.Database) (any, error) {
			status, profile, err := store.SchemaStatus(ctx, address)
			return map[string]any{
				"version": status.Version, "needed": status.Latest, "interrupted": status.Dirty,
				"profile": cmp.Or(profile, "not chosen yet"),
			}, err
		})},
		{name: "database/server.json", collect: with(func(ctx context.Context, d *inspection.Database) (any, error) {
			return d.Server(ctx)
		})},
		{name: "database/settings.json", collect: with(func(ctx context.Context, d *inspection.Database) (any, error) {
			return d.Settings(ctx)
		})},
		{name: "database/sizes.json", collect: with(func(ctx context.Context, d *inspection.Database) (any, error) {
			return d.Relations(ctx)
		})},
		{name: "database/sessions.json", collect: with(func(ctx context.Context, d *inspection.Database) (any, error) {
			return d.Activity(ctx)
		})},
	}
	if cluster.Log != "" {
		parts = append(parts, part{name: "postgres.log", collect: func(context.Context) ([]byte, error) {
			return readLog(cluster.Log)
		}})
	}
	return parts
}

// hostNames returns the names of this machine and of the current user, and the home directory.
func hostNames() []string {
	var names []string
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	if home, err := os.UserHomeDir(); err == nil {
		names = append(names, home)
	}
	for _, variable := range []string{"USER", "LOGNAME", "SUDO_USER"} {
		names = append(names, os.Getenv(variable))
	}
	return names
}
