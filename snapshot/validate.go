package snapshot

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Validate checks everything about a batch that needs no database and no clock.
// It returns nil or a *ValidationError for the first fault. It also fills in defaults:
// an absent kind is full.
func (b *Batch) Validate() error {
	v := validator{machineID: b.MachineID, snapshot: -1}
	v.machine(b.MachineID)
	v.count("snapshots", len(b.Snapshots), MaxSnapshots)
	for i := range b.Snapshots {
		if v.err != nil {
			break
		}
		v.snapshot = i
		v.prefix = fmt.Sprintf("snapshots[%d].", i)
		v.check(&b.Snapshots[i])
		if i > 0 && b.Snapshots[i].Timestamp <= b.Snapshots[i-1].Timestamp {
			v.fail("timestamp", "must be later than that of the snapshot before it")
		}
	}
	if v.err != nil {
		return v.err
	}
	return nil
}

// Validate checks a registration; it returns nil or a *ValidationError.
func (m *Machine) Validate() error {
	v := validator{machineID: m.MachineID, snapshot: -1}
	v.machine(m.MachineID)
	for _, text := range []struct{ field, value string }{
		{"hostname", m.Hostname}, {"os", m.OS}, {"platform", m.Platform}, {"kernel", m.Kernel},
		{"architecture", m.Architecture}, {"cpu_model", m.CPUModel}, {"agent_version", m.AgentVersion},
	} {
		v.text(text.field, text.value, MaxTextBytes)
	}
	if v.err != nil {
		return v.err
	}
	return nil
}

// validator keeps the first fault.
type validator struct {
	machineID string
	snapshot  int
	prefix    string
	err       *ValidationError
}

func (v *validator) fail(field, format string, args ...any) {
	if v.err == nil {
		v.err = &ValidationError{
			Code:          CodeInvalidField,
			MachineID:     v.machineID,
			SnapshotIndex: v.snapshot,
			Field:         v.prefix + field,
			Reason:        fmt.Sprintf(format, args...),
		}
	}
}

func (v *validator) machine(id string) {
	if id == "" {
		v.fail("machine_id", "is required")
	}
	if len(id) > MaxMachineIDBytes {
		v.machineID = ""
		v.fail("machine_id", "is longer than %d bytes", MaxMachineIDBytes)
	}
	for _, r := range id {
		if !strings.ContainsRune("._:-", r) &&
			(r > 'z' || (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')) {
			v.machineID = ""
			v.fail("machine_id", "may only have A-Z a-z 0-9 . _ : -")
		}
	}
}

func (v *validator) check(s *Snapshot) {
	if s.Timestamp <= 0 {
		v.fail("timestamp", "is required, and must be after 1970")
	}
	if s.Kind == "" {
		s.Kind = KindFull
	}
	if s.IntervalMS < 0 || s.IntervalMS > MaxIntervalMS {
		v.fail("interval_ms", "must be 0 to %d", MaxIntervalMS)
	}
	v.count("processes", len(s.Processes), MaxProcesses)
	v.count("exited", len(s.Exited), MaxProcesses)
	switch s.Kind {
	case KindFull:
		if len(s.Exited) > 0 {
			v.fail("exited", "belongs to a snapshot of kind changes; a full one lists every process")
		}
		if s.Previous != 0 {
			v.fail("previous", "belongs to a snapshot of kind changes")
		}
	case KindChanges:
		if s.Previous < 0 || s.Previous >= s.Timestamp {
			v.fail("previous", "must be earlier than timestamp")
		}
	default:
		v.fail("kind", "must be full or changes")
	}
	v.metrics(&s.Machine)
	v.processes(s)
}

func (v *validator) metrics(m *MachineSnapshot) {
	v.number("machine_snapshot.cpu_usage", m.CPUUsage, 100)
	v.number("machine_snapshot.load1", m.Load1, MaxLoad)
	v.number("machine_snapshot.load5", m.Load5, MaxLoad)
	v.number("machine_snapshot.load15", m.Load15, MaxLoad)
	v.amount("machine_snapshot.uptime_ms", m.UptimeMS)
	v.amount("machine_snapshot.total_ram", m.TotalRAM)
	v.amount("machine_snapshot.used_ram", m.UsedRAM)
	v.amount("machine_snapshot.available_ram", m.AvailableRAM)
	v.amount("machine_snapshot.total_swap", m.TotalSwap)
	v.amount("machine_snapshot.used_swap", m.UsedSwap)
	v.amount("machine_snapshot.total_disk", m.TotalDisk)
	v.amount("machine_snapshot.used_disk", m.UsedDisk)
	v.amount("machine_snapshot.available_disk", m.AvailableDisk)
	v.levels(m)
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
		v.amount("total", d.Total)
		v.amount("used", d.Used)
		v.amount("read_bytes", d.ReadBytes)
		v.amount("write_bytes", d.WriteBytes)
	}
	for i := range m.Interfaces {
		n := &m.Interfaces[i]
		v.prefix = fmt.Sprintf("%smachine_snapshot.interfaces[%d].", outer, i)
		v.required("name", n.Name, MaxTextBytes)
		v.once("name", "interface "+n.Name, seen)
		v.amount("received_bytes", n.ReceivedBytes)
		v.amount("sent_bytes", n.SentBytes)
	}
	v.prefix = outer
}

// levels checks what not every machine tells.
func (v *validator) levels(m *MachineSnapshot) {
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
			v.fail(fmt.Sprintf("machine_snapshot.cores[%d]", i), "must be 0 to 100")
		}
	}
	v.count("machine_snapshot.temperatures", len(m.Temperatures), MaxDevices)
	for i, t := range m.Temperatures {
		if v.err == nil {
			field := fmt.Sprintf("machine_snapshot.temperatures[%d].", i)
			v.required(field+"sensor", t.Sensor, MaxTextBytes)
			if math.IsNaN(t.Celsius) || t.Celsius < -300 || t.Celsius > 10_000 {
				v.fail(field+"celsius", "must be -300 to 10000")
			}
		}
	}
	v.amount("machine_snapshot.unseen_processes", m.UnseenProcesses)
	v.amount("machine_snapshot.dropped_snapshots", m.DroppedSnapshots)
	if jump := m.ClockJumpMS; jump != nil && (*jump < -MaxSafeInteger || *jump > MaxSafeInteger) {
		v.fail("machine_snapshot.clock_jump_ms", "must be -%d to %d", int64(MaxSafeInteger), int64(MaxSafeInteger))
	}
}

func (v *validator) processes(s *Snapshot) {
	outer := v.prefix
	seen := make(map[ProcessKey]struct{}, len(s.Processes)+len(s.Exited))
	for i := range s.Processes {
		if v.err != nil {
			return
		}
		p := &s.Processes[i]
		if v.processOK(p, s.Kind, seen) {
			continue
		}
		// Only a bad entry pays for the text of its path.
		v.prefix = fmt.Sprintf("%sprocesses[%d].", outer, i)
		v.process(p, s.Kind, seen)
		v.prefix = outer
	}
	for i, key := range s.Exited {
		_, twice := seen[key]
		seen[key] = struct{}{}
		if key.PID < 0 || key.StartedAt < 0 || twice {
			v.prefix = fmt.Sprintf("%sexited[%d].", outer, i)
			v.fail("pid", "must not be negative, nor listed twice (with started_at)")
			v.prefix = outer
		}
	}
}

// processOK is the hot path: it checks all of an entry without building a text.
func (v *validator) processOK(p *ProcessSample, kind Kind, seen map[ProcessKey]struct{}) bool {
	if _, twice := seen[p.Key()]; twice {
		return false
	}
	probe := validator{}
	probe.process(p, kind, nil)
	if probe.err != nil {
		return false
	}
	seen[p.Key()] = struct{}{}
	return true
}

func (v *validator) process(p *ProcessSample, kind Kind, seen map[ProcessKey]struct{}) {
	if _, twice := seen[p.Key()]; twice {
		v.fail("pid", "%d is listed twice with the same started_at", p.PID)
	}
	if p.PID < 0 {
		v.fail("pid", "must not be negative")
	}
	if p.StartedAt < 0 {
		v.fail("started_at", "must be after 1970")
	}
	hasIdentity := p.PPID != nil || p.Name != ""
	if kind == KindFull || hasIdentity {
		if p.PPID == nil {
			v.fail("ppid", "is required where name is given, and of every process in a full snapshot")
		} else if *p.PPID < 0 {
			v.fail("ppid", "must not be negative")
		}
		if p.Name == "" {
			v.fail("name", "is required where ppid is given, and of every process in a full snapshot")
		}
	} else if p.CommandLine != "" || p.User != "" || p.Cgroup != "" {
		v.fail("name", "is required where command_line, user or cgroup is given")
	}
	v.text("name", p.Name, MaxTextBytes)
	v.text("command_line", p.CommandLine, MaxCommandLineBytes)
	v.text("user", p.User, MaxTextBytes)
	v.text("cgroup", p.Cgroup, MaxPathBytes)
	if len(p.State) > 1 || len(p.State) == 1 && (p.State[0]|0x20 < 'a' || p.State[0]|0x20 > 'z') {
		v.fail("state", "must be one letter, as in ps")
	}
	v.amount("cpu_ms", p.CPUMS)
	v.number("cpu_usage", p.CPUUsage, MaxUsage)
	v.amount("memory_usage", p.MemoryUsage)
	v.amount("read_bytes", p.ReadBytes)
	v.amount("write_bytes", p.WriteBytes)
	if p.Threads != nil && *p.Threads < 0 {
		v.fail("threads", "must not be negative")
	}
	if p.OpenFiles != nil && *p.OpenFiles < 0 {
		v.fail("open_files", "must not be negative")
	}
}

func (v *validator) count(field string, n, limit int) {
	if n > limit {
		v.fail(field, "has %d entries; at most %d are taken", n, limit)
	}
}

func (v *validator) required(field, s string, limit int) {
	if s == "" {
		v.fail(field, "is required")
	}
	v.text(field, s, limit)
}

func (v *validator) once(field, key string, seen map[string]bool) {
	if seen[key] {
		v.fail(field, "is listed twice")
	}
	seen[key] = true
}

func (v *validator) text(field, s string, limit int) {
	if len(s) > limit {
		v.fail(field, "is %d bytes long; at most %d are taken", len(s), limit)
	}
	if strings.IndexByte(s, 0) >= 0 {
		v.fail(field, "must not contain a NUL character")
	}
	if !utf8.ValidString(s) {
		v.fail(field, "must be valid UTF-8")
	}
}

func (v *validator) amount(field string, n *int64) {
	if n != nil && (*n < 0 || *n > MaxSafeInteger) {
		v.fail(field, "must be 0 to %d", int64(MaxSafeInteger))
	}
}

func (v *validator) number(field string, x *float64, limit float64) {
	if x != nil && (math.IsNaN(*x) || *x < 0 || *x > limit) {
		v.fail(field, "must be 0 to %v", limit)
	}
}
