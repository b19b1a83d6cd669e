package snapshot

import "fmt"

// Validate checks a batch. It uses neither the database nor the clock. It returns nil or a *ValidationError for the
// first error. It also sets defaults: an absent kind becomes KindFull.
func (b *Batch) Validate() error {
	v := validator{machineID: b.MachineID, snapshot: -1}
	v.validMachineID(b.MachineID)
	v.sourceID("source.run_id", b.Source.RunID)
	v.sourceID("source.boot_id", b.Source.BootID)
	v.text("source.hostname", b.Source.Hostname, MaxTextBytes)
	v.count("snapshots", len(b.Snapshots), MaxSnapshots)
	for i := range b.Snapshots {
		if v.err != nil {
			break
		}
		v.snapshot = i
		v.prefix = fmt.Sprintf("snapshots[%d].", i)
		v.checkSnapshot(&b.Snapshots[i])
		if i > 0 && b.Snapshots[i].Timestamp <= b.Snapshots[i-1].Timestamp {
			v.fail("timestamp", "must be later than the timestamp of the previous snapshot in the batch")
		}
	}
	return v.result()
}

func (v *validator) checkSnapshot(s *Snapshot) {
	if s.Timestamp <= 0 {
		v.fail("timestamp", "is required and must be after 1970")
	}
	if s.Kind == "" {
		s.Kind = KindFull
	}
	if s.IntervalMS < 0 || s.IntervalMS > MaxIntervalMS {
		v.fail("interval_ms", "must be from 0 to %d", MaxIntervalMS)
	}
	v.count("processes", len(s.Processes), MaxProcesses)
	v.count("exited", len(s.Exited), MaxProcesses)
	switch s.Kind {
	case KindFull:
		if len(s.Exited) > 0 {
			v.fail("exited", "is only allowed in a snapshot of kind changes; a full snapshot lists every process")
		}
		if s.Previous != 0 {
			v.fail("previous", "is only allowed in a snapshot of kind changes")
		}
	case KindChanges:
		if s.Previous < 0 || s.Previous >= s.Timestamp {
			v.fail("previous", "must be earlier than the snapshot's timestamp")
		}
	default:
		v.fail("kind", "must be full or changes")
	}
	v.checkMetrics(&s.Machine)
	v.checkProcesses(s)
}

func (v *validator) checkProcesses(s *Snapshot) {
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
		// Check again with the path of the entry, which is expensive to build.
		v.prefix = fmt.Sprintf("%sprocesses[%d].", outer, i)
		v.checkProcess(p, s.Kind, seen)
		v.prefix = outer
	}
	for i, key := range s.Exited {
		_, twice := seen[key]
		seen[key] = struct{}{}
		if key.PID < 0 || key.StartedAt < 0 || twice {
			v.prefix = fmt.Sprintf("%sexited[%d].", outer, i)
			v.fail("pid", "must not be negative or listed twice with the same started_at")
			v.prefix = outer
		}
	}
}

// processOK checks an entry without building error messages, because it runs for every process.
func (v *validator) processOK(p *ProcessSample, kind Kind, seen map[ProcessKey]struct{}) bool {
	if _, twice := seen[p.Key()]; twice {
		return false
	}
	probe := validator{}
	probe.checkProcess(p, kind, nil)
	if probe.err != nil {
		return false
	}
	seen[p.Key()] = struct{}{}
	return true
}

func (v *validator) checkProcess(p *ProcessSample, kind Kind, seen map[ProcessKey]struct{}) {
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
			v.fail("ppid", "is required if name is given, and for every process of a full snapshot")
		} else if *p.PPID < 0 {
			v.fail("ppid", "must not be negative")
		}
		if p.Name == "" {
			v.fail("name", "is required if ppid is given, and for every process of a full snapshot")
		}
	} else if p.CommandLine != "" || p.User != "" || p.Cgroup != "" {
		v.fail("name", "is required if command_line, user or cgroup is given")
	}
	v.text("name", p.Name, MaxTextBytes)
	v.text("command_line", p.CommandLine, MaxCommandLineBytes)
	v.text("user", p.User, MaxTextBytes)
	v.text("cgroup", p.Cgroup, MaxPathBytes)
	if len(p.State) > 1 || len(p.State) == 1 && (p.State[0]|0x20 < 'a' || p.State[0]|0x20 > 'z') {
		v.fail("state", "must be one letter, as in ps")
	}
	v.cpuTime("cpu_ms", p.CPUTime)
	v.number("cpu_usage", p.CPUUsage, MaxUsage)
	v.integerUpTo("memory_usage", p.MemoryUsage, MaxMemoryBytes)
	v.integer("read_bytes", p.ReadBytes)
	v.integer("write_bytes", p.WriteBytes)
	if p.Threads != nil && *p.Threads < 0 {
		v.fail("threads", "must not be negative")
	}
	if p.OpenFiles != nil && *p.OpenFiles < 0 {
		v.fail("open_files", "must not be negative")
	}
	v.exitStatus(p)
}

func (v *validator) exitStatus(p *ProcessSample) {
	if p.ExitCode != nil {
		if *p.ExitCode < 0 || *p.ExitCode > MaxExitCode {
			v.fail("exit_code", "must be from 0 to %d", MaxExitCode)
		}
		if !p.Ended() {
			v.fail("exit_code", "is only allowed with the state %s", StateEnded)
		}
	}
	if p.ExitSignal != nil {
		if *p.ExitSignal < 1 || *p.ExitSignal > MaxExitSignal {
			v.fail("exit_signal", "must be from 1 to %d", MaxExitSignal)
		}
		if !p.Ended() {
			v.fail("exit_signal", "is only allowed with the state %s", StateEnded)
		}
		if p.ExitCode != nil {
			v.fail("exit_signal", "is not allowed with exit_code: a process ends in one way")
		}
	}
}
