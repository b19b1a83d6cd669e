package collect

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/agent/procfs"
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
	m.OwnProcessesOnly = procfs.HiddenProcesses() != ""
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

const (
	// recheckEvery is how often an agent checks the parts of its machine's description that an administrator changes.
	recheckEvery = 20 * time.Second
	// describeEvery is how often it reads the whole description. A virtual machine can get more memory and cores.
	describeEvery = 15 * time.Minute
)

// Description keeps the description of this machine up to date. It is not safe for concurrent use.
type Description struct {
	machine                snapshot.Machine
	checkedAt, describedAt time.Time
}

// NewDescription returns a description that begins with a machine.
func NewDescription(machine snapshot.Machine, now time.Time) *Description {
	return &Description{machine: machine, checkedAt: now, describedAt: now}
}

// Machine returns the description of the machine. A changed host name is in it after at most recheckEvery.
func (d *Description) Machine(ctx context.Context, now time.Time) snapshot.Machine {
	if now.Sub(d.describedAt) >= describeEvery {
		d.machine = Machine(ctx, d.machine.MachineID, d.machine.AgentVersion)
		d.describedAt, d.checkedAt = now, now
	}
	if now.Sub(d.checkedAt) >= recheckEvery {
		if hostname, err := os.Hostname(); err == nil {
			d.machine.Hostname = clean.Text(hostname, snapshot.MaxTextBytes)
		}
		d.machine.OwnProcessesOnly = procfs.HiddenProcesses() != ""
		d.checkedAt = now
	}
	return d.machine
}
