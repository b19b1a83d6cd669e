package collect

import (
	"context"
	"math"
	"path/filepath"
	"strconv"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/net"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/snapshot"
)

// systemReader reads the system metrics. A metric that cannot be read is left out, because many machines lack some, for
// example swap.
type systemReader struct {
	cores      []cpu.TimesStat
	disks      map[string]disk.IOCountersStat
	nets       map[string]net.IOCountersStat
	uptime     uptimeClock
	partitions []disk.PartitionStat

	temperatures   []snapshot.Temperature
	temperaturesAt time.Time
}

// temperaturesEvery is the shortest time between two reads of the sensors: some of them take milliseconds.
const temperaturesEvery = 10 * time.Second

// reset makes the next read a first one.
func (r *systemReader) reset() { r.cores, r.disks, r.nets = nil, nil, nil }

// read reads the selected metrics. With refresh it also looks for new file systems.
func (r *systemReader) read(ctx context.Context, options Options, refresh bool) snapshot.MachineSnapshot {
	var m snapshot.MachineSnapshot
	r.readCPU(ctx, &m, options.Cores)
	if avg, err := load.AvgWithContext(ctx); err == nil {
		m.Load1, m.Load5, m.Load15 = &avg.Load1, &avg.Load5, &avg.Load15
	}
	if up := r.uptime.read(ctx, refresh); up > 0 {
		m.UptimeMS = new(up.Milliseconds())
	}
	if ram, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		m.TotalRAM, m.UsedRAM, m.AvailableRAM = clean.Size(ram.Total), clean.Size(ram.Used), clean.Size(ram.Available)
	}
	if swap, err := mem.SwapMemoryWithContext(ctx); err == nil {
		m.TotalSwap, m.UsedSwap = clean.Size(swap.Total), clean.Size(swap.Used)
	}
	if refresh || r.partitions == nil {
		r.partitions, _ = disk.PartitionsWithContext(ctx, false)
	}
	r.readDisks(ctx, &m)
	if !options.Disks {
		m.Disks = nil // the totals stay
	}
	if options.Interfaces {
		m.Interfaces = r.interfaces(ctx)
	}
	if options.Temperatures {
		m.Temperatures = r.sensors(ctx)
	}
	return m
}

// sensors returns the temperatures. They are at most temperaturesEvery old.
func (r *systemReader) sensors(ctx context.Context) []snapshot.Temperature {
	if now := time.Now(); now.Sub(r.temperaturesAt) >= temperaturesEvery {
		r.temperaturesAt = now
		read, _ := host.SensorsTemperaturesWithContext(ctx) // with an error it returns those that it could read
		r.temperatures = temperatures(read)
	}
	return r.temperatures
}

// temperatures converts the temperatures. It numbers sensors that have the same name.
func temperatures(read []host.TemperatureStat) []snapshot.Temperature {
	var list []snapshot.Temperature
	seen := make(map[string]int, len(read))
	for _, t := range read {
		name := clean.Text(t.SensorKey, snapshot.MaxTextBytes-8)
		if name == "" || len(list) == snapshot.MaxDevices || math.IsNaN(t.Temperature) || t.Temperature < -273.15 ||
			t.Temperature > 10_000 {
			continue
		}
		if seen[name]++; seen[name] > 1 {
			name += " " + strconv.Itoa(seen[name])
		}
		list = append(list, snapshot.Temperature{Sensor: name, Celsius: math.Round(t.Temperature*10) / 10})
	}
	return list
}

// readCPU computes how the time of the cores was spent since the previous read. Usage is the share that was neither
// idle nor waiting for I/O: 100 × (1 − Δidle ÷ Δtotal). With each it adds the usage of each core.
func (r *systemReader) readCPU(ctx context.Context, m *snapshot.MachineSnapshot, each bool) {
	now, err := cpu.TimesWithContext(ctx, true)
	if err != nil {
		return
	}
	before := r.cores
	r.cores = now
	if len(before) != len(now) || len(now) == 0 { // the first read, or the number of cores has changed
		return
	}
	var total cpu.TimesStat
	for i := range now {
		core := timesSince(&now[i], &before[i])
		add(&total, &core)
		if busy, _ := usage(&core); each && i < snapshot.MaxCores {
			m.Cores = append(m.Cores, int16(math.Round(busy)))
		}
	}
	busy, ok := usage(&total)
	if !ok {
		m.Cores = nil
		return
	}
	m.CPUUsage = new(math.Round(busy*100) / 100)
	share := func(seconds float64) *float64 {
		// Round to quarters of a percent, because their bits compress well.
		return new(math.Round(min(max(seconds/cpuTotal(&total), 0), 1)*400) / 4)
	}
	m.CPU = &snapshot.CPUModes{
		User:   share(total.User),
		Nice:   share(total.Nice),
		System: share(total.System),
		IOWait: share(total.Iowait),
		IRQ:    share(total.Irq + total.Softirq),
		Steal:  share(total.Steal),
	}
}

// usage returns how busy a core was, in percent.
func usage(t *cpu.TimesStat) (percent float64, ok bool) {
	total := cpuTotal(t)
	if total <= 0 {
		return 0, false
	}
	return 100 * min(max(1-(t.Idle+t.Iowait)/total, 0), 1), true
}

// timesSince returns the differences between two readings. They are at least 0, because the kernel may correct a
// reading downwards.
func timesSince(now, before *cpu.TimesStat) cpu.TimesStat {
	d := func(a, b float64) float64 { return max(a-b, 0) }
	return cpu.TimesStat{
		User:    d(now.User, before.User),
		System:  d(now.System, before.System),
		Idle:    d(now.Idle, before.Idle),
		Nice:    d(now.Nice, before.Nice),
		Iowait:  d(now.Iowait, before.Iowait),
		Irq:     d(now.Irq, before.Irq),
		Softirq: d(now.Softirq, before.Softirq),
		Steal:   d(now.Steal, before.Steal),
	}
}

func add(sum, t *cpu.TimesStat) {
	sum.User, sum.System, sum.Idle, sum.Nice = sum.User+t.User, sum.System+t.System, sum.Idle+t.Idle, sum.Nice+t.Nice
	sum.Iowait, sum.Irq = sum.Iowait+t.Iowait, sum.Irq+t.Irq
	sum.Softirq, sum.Steal = sum.Softirq+t.Softirq, sum.Steal+t.Steal
}

// cpuTotal leaves out guest time, because Linux includes it in user time.
func cpuTotal(t *cpu.TimesStat) float64 {
	return t.User + t.System + t.Idle + t.Nice + t.Iowait + t.Irq + t.Softirq + t.Steal
}

// readDisks lists each device once, with its first mount. Further mounts of a device, such as bind mounts, add no
// space.
func (r *systemReader) readDisks(ctx context.Context, m *snapshot.MachineSnapshot) {
	partitions := r.partitions
	if len(partitions) == 0 {
		partitions = []disk.PartitionStat{{Mountpoint: "/"}}
	}
	counters, _ := disk.IOCountersWithContext(ctx)
	before := r.disks
	r.disks = counters
	var total, used, available int64
	addKnown := func(sum, size *int64) {
		if size != nil {
			*sum += *size
		}
	}
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
		d := snapshot.Disk{
			Device: clean.Text(partition.Device, snapshot.MaxTextBytes),
			Mount:  clean.Text(partition.Mountpoint, snapshot.MaxPathBytes),
			Total:  clean.Size(usage.Total),
			Used:   clean.Size(usage.Used),
		}
		name := filepath.Base(partition.Device)
		if now, ok := counters[name]; ok {
			if then, ok := before[name]; ok {
				d.ReadBytes = increase(now.ReadBytes, then.ReadBytes)
				d.WriteBytes = increase(now.WriteBytes, then.WriteBytes)
			}
		}
		m.Disks = append(m.Disks, d)
		addKnown(&total, d.Total)
		addKnown(&used, d.Used)
		addKnown(&available, clean.Size(usage.Free))
	}
	if len(m.Disks) > 0 {
		m.TotalDisk, m.UsedDisk = clean.Size(uint64(total)), clean.Size(uint64(used))
		m.AvailableDisk = clean.Size(uint64(available))
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
		i := snapshot.Interface{Name: clean.Text(now.Name, snapshot.MaxTextBytes)}
		if then, ok := before[now.Name]; ok {
			i.ReceivedBytes = increase(now.BytesRecv, then.BytesRecv)
			i.SentBytes = increase(now.BytesSent, then.BytesSent)
		}
		list = append(list, i)
	}
	return list
}

// increase returns the increase of a counter. A counter that is lower than before was reset to 0.
func increase(now, before uint64) *int64 {
	if now < before {
		before = 0
	}
	return new(clean.Counter(now - before))
}
