package collect

import (
	"context"
	"log/slog"
	"math"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/snapshot"
)

// systemReader reads the system metrics. A metric that cannot be read is left out, because many machines lack some, for
// example swap.
type systemReader struct {
	cores      []cpu.TimesStat
	uptime     uptimeClock
	disks      *diskReader
	interfaces interfaceReader
	sensors    *sensorReader
}

func newSystemReader(logger *slog.Logger) systemReader {
	return systemReader{disks: newDiskReader(logger, spaceOf), sensors: newSensorReader(readSensors)}
}

// reset makes the next read a first one.
func (r *systemReader) reset() {
	r.cores = nil
	r.disks.reset()
	r.interfaces.reset()
}

// close closes the files that are kept open.
func (r *systemReader) close() { r.disks.table.close() }

// read reads the selected metrics. With refresh it also reads what rarely changes.
func (r *systemReader) read(ctx context.Context, options Options, refresh bool) snapshot.MachineSnapshot {
	var m snapshot.MachineSnapshot
	r.readCPU(ctx, &m, options.Cores)
	if avg, err := load.AvgWithContext(ctx); err == nil {
		m.Load1, m.Load5, m.Load15 = &avg.Load1, &avg.Load5, &avg.Load15
	}
	if up := r.uptime.read(ctx, refresh); up > 0 {
		m.UptimeMS = new(up.Milliseconds())
	}
	readMemory(ctx, &m)
	if swap, err := mem.SwapMemoryWithContext(ctx); err == nil {
		m.TotalSwap, m.UsedSwap = clean.Size(swap.Total), clean.Size(swap.Used)
	}
	r.disks.read(ctx, &m, refresh)
	if !options.Disks {
		m.Disks = nil // the totals stay
	}
	if options.Interfaces {
		m.Interfaces = r.interfaces.read(ctx, refresh)
	}
	if options.Temperatures {
		r.sensors.read(ctx, &m)
	}
	return m
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
	for i := range min(len(before), len(now)) {
		keepHighest(&now[i], &before[i])
	}
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

// maxCorrection is how far the kernel may correct a reading downwards, in seconds. See iowait in proc_stat(5). If a
// reading is lower than that, the core was switched off and on, and begins again.
const maxCorrection = 3

// keepHighest keeps the time of before where the kernel has corrected it downwards. Otherwise, the time up to
// before would be added a second time when the reading returns to it.
func keepHighest(now, before *cpu.TimesStat) {
	keep := func(a *float64, b float64) {
		if *a < b && b-*a < maxCorrection {
			*a = b
		}
	}
	keep(&now.User, before.User)
	keep(&now.System, before.System)
	keep(&now.Idle, before.Idle)
	keep(&now.Nice, before.Nice)
	keep(&now.Iowait, before.Iowait)
	keep(&now.Irq, before.Irq)
	keep(&now.Softirq, before.Softirq)
	keep(&now.Steal, before.Steal)
}

// timesSince returns the differences between two readings. They are at least 0, because a core may begin again.
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

// increase returns the increase of a counter. A counter that is lower than before was reset to 0.
func increase(now, before uint64) *int64 {
	if now < before {
		before = 0
	}
	return new(clean.Counter(now - before))
}
