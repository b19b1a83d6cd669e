package agent

import (
	"context"
	"math"
	"path/filepath"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/net"

	"github.com/snapwatch/snapwatch/snapshot"
)

// systemReader reads the system metrics. What cannot be read stays unknown: a
// machine without swap or with an odd mount is still worth a snapshot.
type systemReader struct {
	cpu   *cpu.TimesStat
	disks map[string]disk.IOCountersStat
	nets  map[string]net.IOCountersStat
	boot  uint64
}

func (r *systemReader) forget() { r.cpu, r.disks, r.nets = nil, nil, nil }

func (r *systemReader) read(ctx context.Context) snapshot.MachineSnapshot {
	var m snapshot.MachineSnapshot
	m.CPUUsage = r.cpuUsage(ctx)
	if avg, err := load.AvgWithContext(ctx); err == nil {
		m.Load1, m.Load5, m.Load15 = &avg.Load1, &avg.Load5, &avg.Load15
	}
	if r.boot == 0 {
		r.boot, _ = host.BootTimeWithContext(ctx)
	}
	if r.boot != 0 {
		uptime := time.Since(time.Unix(int64(r.boot), 0)).Milliseconds()
		m.UptimeMS = &uptime
	}
	if ram, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		m.TotalRAM, m.UsedRAM, m.AvailableRAM = new(signed(ram.Total)), new(signed(ram.Used)), new(signed(ram.Available))
	}
	if swap, err := mem.SwapMemoryWithContext(ctx); err == nil {
		m.TotalSwap, m.UsedSwap = new(signed(swap.Total)), new(signed(swap.Used))
	}
	r.readDisks(ctx, &m)
	m.Interfaces = r.interfaces(ctx)
	return m
}

// cpuUsage returns the share of all cores' time since the read before that was
// neither idle nor waiting for I/O: 100 × (1 − Δidle ÷ Δtotal).
func (r *systemReader) cpuUsage(ctx context.Context) *float64 {
	times, err := cpu.TimesWithContext(ctx, false)
	if err != nil || len(times) != 1 {
		return nil
	}
	now, before := times[0], r.cpu
	r.cpu = &now
	if before == nil {
		return nil
	}
	total := cpuTotal(&now) - cpuTotal(before)
	idle := now.Idle + now.Iowait - before.Idle - before.Iowait
	if total <= 0 {
		return nil
	}
	usage := math.Round(10_000*min(max(1-idle/total, 0), 1)) / 100 // two decimals
	return &usage
}

// cpuTotal leaves out guest time: Linux counts it in user time already.
func cpuTotal(t *cpu.TimesStat) float64 {
	return t.User + t.System + t.Idle + t.Nice + t.Iowait + t.Irq + t.Softirq + t.Steal
}

// readDisks lists each device once, by its first mount: a device that is mounted
// again elsewhere (a bind mount) is no further space.
func (r *systemReader) readDisks(ctx context.Context, m *snapshot.MachineSnapshot) {
	partitions, err := disk.PartitionsWithContext(ctx, false)
	if err != nil || len(partitions) == 0 {
		partitions = []disk.PartitionStat{{Mountpoint: "/"}}
	}
	counters, _ := disk.IOCountersWithContext(ctx)
	before := r.disks
	r.disks = counters
	var total, used, available int64
	seen := make(map[string]bool, len(partitions))
	for _, partition := range partitions {
		if len(m.Disks) == snapshot.MaxDevices {
			break
		}
		key := partition.Device
		if key == "" {
			key = partition.Mountpoint
		}
		usage, err := disk.UsageWithContext(ctx, partition.Mountpoint)
		if err != nil || usage.Total == 0 || seen[key] {
			continue
		}
		seen[key] = true
		d := snapshot.Disk{Device: clean(partition.Device, snapshot.MaxTextBytes), Mount: clean(partition.Mountpoint, snapshot.MaxMountBytes), Total: new(signed(usage.Total)), Used: new(signed(usage.Used))}
		name := filepath.Base(partition.Device)
		if now, ok := counters[name]; ok {
			if then, ok := before[name]; ok {
				d.ReadBytes, d.WriteBytes = grown(now.ReadBytes, then.ReadBytes), grown(now.WriteBytes, then.WriteBytes)
			}
		}
		m.Disks = append(m.Disks, d)
		total, used, available = total+*d.Total, used+*d.Used, available+signed(usage.Free)
	}
	if len(m.Disks) > 0 {
		m.TotalDisk, m.UsedDisk, m.AvailableDisk = &total, &used, &available
	}
}

func (r *systemReader) interfaces(ctx context.Context) []snapshot.Interface {
	counters, err := net.IOCountersWithContext(ctx, true)
	if err != nil {
		return nil
	}
	before := r.nets
	r.nets = make(map[string]net.IOCountersStat, len(counters))
	var list []snapshot.Interface
	for _, now := range counters {
		if _, twice := r.nets[now.Name]; twice || now.Name == "" || len(list) == snapshot.MaxDevices {
			continue
		}
		r.nets[now.Name] = now
		i := snapshot.Interface{Name: clean(now.Name, snapshot.MaxTextBytes)}
		if then, ok := before[now.Name]; ok {
			i.ReceivedBytes, i.SentBytes = grown(now.BytesRecv, then.BytesRecv), grown(now.BytesSent, then.BytesSent)
		}
		list = append(list, i)
	}
	return list
}

// signed converts a counter; what does not fit our limits is cut to them.
func signed(n uint64) int64 { return int64(min(n, snapshot.MaxAmount)) }

// grown returns by how much a counter has grown; a counter that was reset starts at 0.
func grown(now, before uint64) *int64 {
	if now < before {
		before = 0
	}
	return new(signed(now - before))
}
