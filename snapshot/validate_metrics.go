package snapshot

import (
	"fmt"
	"math"
)

// checkMetrics checks the system metrics of a snapshot. Sizes are not compared with each other: the system reports them
// one after the other, so more can be used than there is for a moment.
func (v *validator) checkMetrics(m *MachineSnapshot) {
	v.number("machine_snapshot.cpu_usage", m.CPUUsage, 100)
	v.number("machine_snapshot.load1", m.Load1, MaxLoad)
	v.number("machine_snapshot.load5", m.Load5, MaxLoad)
	v.number("machine_snapshot.load15", m.Load15, MaxLoad)
	v.integer("machine_snapshot.uptime_ms", m.UptimeMS)
	v.integer("machine_snapshot.total_ram", m.TotalRAM)
	v.integer("machine_snapshot.used_ram", m.UsedRAM)
	v.integer("machine_snapshot.available_ram", m.AvailableRAM)
	v.integer("machine_snapshot.buffers_ram", m.BuffersRAM)
	v.integer("machine_snapshot.cached_ram", m.CachedRAM)
	v.integer("machine_snapshot.shared_ram", m.SharedRAM)
	v.integer("machine_snapshot.slab_ram", m.SlabRAM)
	v.integer("machine_snapshot.total_swap", m.TotalSwap)
	v.integer("machine_snapshot.used_swap", m.UsedSwap)
	v.integer("machine_snapshot.total_disk", m.TotalDisk)
	v.integer("machine_snapshot.used_disk", m.UsedDisk)
	v.integer("machine_snapshot.available_disk", m.AvailableDisk)
	v.number("machine_snapshot.fullest_disk_usage", m.FullestDiskUsage, 100)
	v.text("machine_snapshot.fullest_disk", m.FullestDisk, MaxPathBytes)
	v.checkOptionalMetrics(m)
	v.count("machine_snapshot.disks", len(m.Disks), MaxDevices)
	v.count("machine_snapshot.interfaces", len(m.Interfaces), MaxDevices)
	seen := make(map[string]bool, len(m.Disks)+len(m.Interfaces))
	outer := v.prefix
	for i := range m.Disks {
		d := &m.Disks[i]
		v.prefix = fmt.Sprintf("%smachine_snapshot.disks[%d].", outer, i)
		v.text("device", d.Device, MaxTextBytes)
		v.required("mount", d.Mount, MaxPathBytes)
		v.once("mount", "disk "+d.Mount, seen)
		v.integer("total", d.Total)
		v.integer("used", d.Used)
		v.integer("available", d.Available)
		v.text("type", d.Type, MaxTextBytes)
		v.integer("read_bytes", d.ReadBytes)
		v.integer("write_bytes", d.WriteBytes)
	}
	for i := range m.Interfaces {
		n := &m.Interfaces[i]
		v.prefix = fmt.Sprintf("%smachine_snapshot.interfaces[%d].", outer, i)
		v.required("name", n.Name, MaxTextBytes)
		v.once("name", "interface "+n.Name, seen)
		v.integer("received_bytes", n.ReceivedBytes)
		v.integer("sent_bytes", n.SentBytes)
	}
	v.prefix = outer
}

// checkOptionalMetrics checks the metrics that only some machines have.
func (v *validator) checkOptionalMetrics(m *MachineSnapshot) {
	if cpu := m.CPU; cpu != nil {
		v.number("machine_snapshot.cpu.user", cpu.User, 100)
		v.number("machine_snapshot.cpu.nice", cpu.Nice, 100)
		v.number("machine_snapshot.cpu.system", cpu.System, 100)
		v.number("machine_snapshot.cpu.iowait", cpu.IOWait, 100)
		v.number("machine_snapshot.cpu.irq", cpu.IRQ, 100)
		v.number("machine_snapshot.cpu.steal", cpu.Steal, 100)
	}
	v.count("machine_snapshot.cores", len(m.Cores), MaxCores)
	for i, percent := range m.Cores {
		if percent < 0 || percent > 100 {
			v.fail(fmt.Sprintf("machine_snapshot.cores[%d]", i), "must be from 0 to 100")
		}
	}
	v.count("machine_snapshot.temperatures", len(m.Temperatures), MaxDevices)
	for i, t := range m.Temperatures {
		if v.err == nil {
			field := fmt.Sprintf("machine_snapshot.temperatures[%d].", i)
			v.required(field+"sensor", t.Sensor, MaxTextBytes)
			if math.IsNaN(t.Celsius) || t.Celsius < -300 || t.Celsius > 10_000 {
				v.fail(field+"celsius", "must be from -300 to 10000")
			}
		}
	}
	v.count("machine_snapshot.stale", len(m.Stale), MaxStale)
	for i, name := range m.Stale {
		if v.err == nil {
			v.required(fmt.Sprintf("machine_snapshot.stale[%d]", i), name, MaxPathBytes)
		}
	}
	v.integer("machine_snapshot.unseen_processes", m.UnseenProcesses)
	v.integer("machine_snapshot.dropped_snapshots", m.DroppedSnapshots)
	if jump := m.ClockJumpMS; jump != nil && (*jump < -MaxSafeInteger || *jump > MaxSafeInteger) {
		v.fail("machine_snapshot.clock_jump_ms", "must be from -%d to %d", int64(MaxSafeInteger), int64(MaxSafeInteger))
	}
}
