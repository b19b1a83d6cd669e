package collect

import (
	"context"
	"strings"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/snapshot"
)

// Machine returns the description with which this machine registers. Values that cannot be read stay empty.
func Machine(ctx context.Context, machineID, agentVersion string) snapshot.Machine {
	m := snapshot.Machine{MachineID: machineID, AgentVersion: agentVersion}
	text := func(s string) string { return clean.Text(s, snapshot.MaxTextBytes) }
	if info, err := host.InfoWithContext(ctx); err == nil {
		m.Hostname, m.OS = text(info.Hostname), text(info.OS)
		m.Kernel, m.Architecture = text(info.KernelVersion), text(info.KernelArch)
		m.Platform = text(strings.TrimSpace(info.Platform + " " + info.PlatformVersion))
	}
	if cpus, err := cpu.InfoWithContext(ctx); err == nil && len(cpus) > 0 {
		m.CPUModel = text(cpus[0].ModelName)
	}
	if n, err := cpu.CountsWithContext(ctx, true); err == nil {
		m.CPUCount = int32(n)
	}
	if ram, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		m.TotalRAM = clean.Counter(ram.Total)
	}
	return m
}
