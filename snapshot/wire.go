package snapshot

import "time"

// Kind is the kind of a snapshot.
type Kind string

// The kinds of snapshots. An absent kind means KindFull.
const (
	KindFull    Kind = "full"    // lists every process
	KindChanges Kind = "changes" // lists the differences from the previous snapshot
)

// Batch is the body of a post: consecutive snapshots of one machine, oldest first. A batch without snapshots
// is a heartbeat.
type Batch struct {
	MachineID string `json:"machine_id" minLength:"1" maxLength:"128" pattern:"^([.]{0,2}[A-Za-z0-9_:-][A-Za-z0-9._:-]*|[.]{3}[A-Za-z0-9._:-]*)$" patternDescription:"made of A-Z a-z 0-9 . _ : -, and not . or .." doc:"The agent's stable id of the machine"`
	// Source lets the server detect several agents that report as one machine.
	Source Source `json:"source,omitzero" doc:"The agent that sends the post. If posts come from several agents in turns, their state directory was copied, and the server says so"`
	// Snapshots is empty in a heartbeat.
	Snapshots []Snapshot `json:"snapshots,omitempty" nullable:"false" maxItems:"1000" doc:"Oldest first. A post without snapshots is a heartbeat"`
}

// LiveSpan is the maximum age of the snapshots of a live batch.
const LiveSpan = 2 * time.Hour

// IsLate reports whether the batch has late snapshots, which were taken more than LiveSpan before now.
func (b *Batch) IsLate(now Time) bool {
	return len(b.Snapshots) > 0 && b.Snapshots[0].Timestamp < now.Add(-LiveSpan)
}

// Snapshot is the state of one machine at one instant, as an agent sends it.
type Snapshot struct {
	Timestamp Time `json:"timestamp" format:"date-time" doc:"When the snapshot was taken: RFC 3339, to the millisecond"`
	Kind      Kind `json:"kind,omitempty" enum:"full,changes" default:"full" doc:"full lists every process, changes only the differences from the previous snapshot"`
	// Previous lets the server detect a missing snapshot.
	Previous Time `json:"previous,omitzero" format:"date-time" doc:"Changes only: timestamp of the snapshot that the changes apply to. Default: the machine's latest earlier snapshot"`
	// IntervalMS is the interval of all deltas: CPU times and byte counts.
	IntervalMS int64           `json:"interval_ms,omitzero" minimum:"0" maximum:"86400000" doc:"Milliseconds that cpu_ms and the byte counts cover. Default, also for 0: the time since the machine's previous snapshot, or its polling interval for the first. Unknown after a gap, unless the snapshot has cpu_ms or byte counts: after more than two polling intervals and, if it has usage in percent, more than twice the usual time between the machine's snapshots"`
	Machine    MachineSnapshot `json:"machine_snapshot,omitzero"`
	Processes  []ProcessSample `json:"processes,omitempty" nullable:"false" maxItems:"50000" doc:"Every process (full), or the new and changed ones (changes)"`
	Exited     []ProcessKey    `json:"exited,omitempty" nullable:"false" maxItems:"50000" doc:"Changes only: processes that exited since the previous snapshot"`
}

// MachineSnapshot holds the system metrics of one instant. A nil value is unknown.
type MachineSnapshot struct {
	CPUUsage *float64 `json:"cpu_usage" required:"false" minimum:"0" maximum:"100" doc:"Percent of all cores"`
	// CPU splits CPUUsage by mode.
	CPU          *CPUModes `json:"cpu,omitempty"`
	Cores        []int16   `json:"cores,omitempty" nullable:"false" maxItems:"4096" minimum:"0" maximum:"100" doc:"Percent of each core, in the order of the core numbers"`
	Load1        *float64  `json:"load1" required:"false" minimum:"0"`
	Load5        *float64  `json:"load5" required:"false" minimum:"0"`
	Load15       *float64  `json:"load15" required:"false" minimum:"0"`
	UptimeMS     *int64    `json:"uptime_ms" required:"false" minimum:"0"`
	TotalRAM     *int64    `json:"total_ram" required:"false" minimum:"0" doc:"Bytes"`
	UsedRAM      *int64    `json:"used_ram" required:"false" minimum:"0" doc:"Bytes that are not available: total_ram minus available_ram on Linux, as in free of procps 4"`
	AvailableRAM *int64    `json:"available_ram" required:"false" minimum:"0" doc:"Bytes"`
	// The following parts of the memory overlap with each other and with UsedRAM. Linux has all of them, other systems
	// have some.
	BuffersRAM    *int64 `json:"buffers_ram,omitempty" minimum:"0" doc:"Bytes of buffers of block devices"`
	CachedRAM     *int64 `json:"cached_ram,omitempty" minimum:"0" doc:"Bytes of the page cache, with tmpfs, shared memory and the part of slab_ram that the kernel can reclaim, as in free"`
	SharedRAM     *int64 `json:"shared_ram,omitempty" minimum:"0" doc:"Bytes of shared memory and tmpfs"`
	SlabRAM       *int64 `json:"slab_ram,omitempty" minimum:"0" doc:"Bytes of the kernel's own data structures"`
	TotalSwap     *int64 `json:"total_swap" required:"false" minimum:"0" doc:"Bytes"`
	UsedSwap      *int64 `json:"used_swap" required:"false" minimum:"0" doc:"Bytes"`
	TotalDisk     *int64 `json:"total_disk" required:"false" minimum:"0" doc:"Bytes of all listed disks"`
	UsedDisk      *int64 `json:"used_disk" required:"false" minimum:"0" doc:"Bytes of all listed disks"`
	AvailableDisk *int64 `json:"available_disk" required:"false" minimum:"0" doc:"Bytes of all listed disks"`
	// FullestDiskUsage and FullestDisk are known even if the disks are not listed.
	FullestDiskUsage *float64    `json:"fullest_disk_usage,omitempty" minimum:"0" maximum:"100" doc:"Percent of the space of the fullest disk that is in use: used ÷ (used + available), as in df. Read-only disks are left out. Computed from disks if absent"`
	FullestDisk      string      `json:"fullest_disk,omitempty" maxLength:"1024" doc:"Mount point of the fullest disk"`
	Disks            []Disk      `json:"disks,omitempty" nullable:"false" maxItems:"1000" doc:"File systems that hold data, each once"`
	Interfaces       []Interface `json:"interfaces,omitempty" nullable:"false" maxItems:"1000"`
	// Temperatures is empty on a machine without sensors, such as most virtual machines.
	Temperatures []Temperature `json:"temperatures,omitempty" nullable:"false" maxItems:"1000"`

	// The fields below describe what is missing from the snapshots. Nil and 0 mean none.

	// Stale names the sources that blocked in the kernel.
	Stale []string `json:"stale,omitempty" nullable:"false" maxItems:"1100" doc:"What did not answer in time, so that its values are the last known ones, or unknown: mount points of disks, temperatures, and command lines, such as command line of process 123"`

	UnseenProcesses  *int64 `json:"unseen_processes,omitempty" minimum:"0" doc:"Upper bound of the processes and threads that started and ended since the previous snapshot and are in no snapshot"`
	DroppedSnapshots *int64 `json:"dropped_snapshots,omitempty" minimum:"0" doc:"Snapshots before this one that the agent dropped because it could not send them in time"`
	ClockJumpMS      *int64 `json:"clock_jump_ms,omitempty" doc:"Milliseconds by which the machine's clock was set since the previous snapshot; negative if it was set back. On systems other than Linux, a suspend of the machine is such a change too"`
}

// CPUModes splits the time of all cores in the interval by mode, in percent. The rest to 100 was idle. See
// proc_stat(5). Systems other than Linux have only some of the modes.
type CPUModes struct {
	User   *float64 `json:"user,omitempty" minimum:"0" maximum:"100" doc:"Percent of all cores"`
	Nice   *float64 `json:"nice,omitempty" minimum:"0" maximum:"100" doc:"User processes with a lowered priority"`
	System *float64 `json:"system,omitempty" minimum:"0" maximum:"100" doc:"Kernel"`
	IOWait *float64 `json:"iowait,omitempty" minimum:"0" maximum:"100" doc:"Waiting for disks. Not part of cpu_usage"`
	IRQ    *float64 `json:"irq,omitempty" minimum:"0" maximum:"100" doc:"Interrupts, including soft interrupts"`
	Steal  *float64 `json:"steal,omitempty" minimum:"0" maximum:"100" doc:"Taken by the host of a virtual machine"`
}

// Temperature is the reading of one sensor.
type Temperature struct {
	Sensor  string  `json:"sensor" minLength:"1" maxLength:"255"`
	Celsius float64 `json:"celsius" minimum:"-300" maximum:"10000"`
}

// Disk is one mounted file system. The byte counts are deltas over the snapshot's interval.
type Disk struct {
	Device     string `json:"device" required:"false" maxLength:"255"`
	Mount      string `json:"mount" maxLength:"1024"`
	Total      *int64 `json:"total" required:"false" minimum:"0" doc:"Bytes"`
	Used       *int64 `json:"used" required:"false" minimum:"0" doc:"Bytes"`
	Available  *int64 `json:"available,omitempty" minimum:"0" doc:"Bytes that users can still write. Less than total minus used if some are reserved"`
	Type       string `json:"type,omitempty" maxLength:"255" doc:"Type of the file system, such as ext4 or nfs4"`
	ReadOnly   bool   `json:"read_only,omitempty" doc:"The file system cannot be written, so it cannot fill"`
	ReadBytes  *int64 `json:"read_bytes" required:"false" minimum:"0" doc:"Bytes read in the interval"`
	WriteBytes *int64 `json:"write_bytes" required:"false" minimum:"0" doc:"Bytes written in the interval"`
}

// Interface is one network interface. The byte counts are deltas over the snapshot's interval.
type Interface struct {
	Name string `json:"name" maxLength:"255"`
	// InTotal is false for interfaces whose traffic another one carries, such as bridges.
	InTotal       *bool  `json:"in_total,omitempty" doc:"Part of the machine's totals: a physical interface or, if there is none, one of a default route or else one that does not carry the traffic of others. Default: every interface except lo"`
	ReceivedBytes *int64 `json:"received_bytes" required:"false" minimum:"0" doc:"Bytes received in the interval"`
	SentBytes     *int64 `json:"sent_bytes" required:"false" minimum:"0" doc:"Bytes sent in the interval"`
}

// ProcessKey identifies a process of a machine. A pid alone does not, because pids are reused. StartedAt is 0
// if it is unknown.
type ProcessKey struct {
	PID       int32 `json:"pid" minimum:"0"`
	StartedAt Time  `json:"started_at,omitzero" format:"date-time"`
}

// Identity holds the attributes of a process that rarely change. An agent sends it with the first sample of a
// process and after each change, for example when the process calls exec or its parent dies.
type Identity struct {
	PPID        int32  `json:"ppid"`
	Name        string `json:"name"`
	CommandLine string `json:"command_line"`
	User        string `json:"user"`
	// Cgroup shows the service or container that the process belongs to.
	Cgroup string `json:"cgroup,omitempty" doc:"Path of the control group, which shows the service or container"`
}

// ProcessSample is the entry of one process in a Snapshot. A full snapshot has the identity of every process,
// a changes snapshot only that of new processes and of those whose identity changed. PPID and Name are either
// both set or both absent.
type ProcessSample struct {
	PID         int32    `json:"pid" minimum:"0"`
	StartedAt   Time     `json:"started_at,omitzero" format:"date-time" doc:"When the process started"`
	PPID        *int32   `json:"ppid,omitempty" minimum:"0" doc:"Required for a new process"`
	Name        string   `json:"name,omitempty" maxLength:"255" doc:"Required for a new process"`
	CommandLine string   `json:"command_line,omitempty" maxLength:"32768"`
	User        string   `json:"user,omitempty" maxLength:"255"`
	Cgroup      string   `json:"cgroup,omitempty" maxLength:"1024" doc:"Path of the control group, which shows the service or container"`
	State       string   `json:"state,omitempty" pattern:"^[A-Za-z]$" doc:"One letter, as in ps: R running, S sleeping, D waiting for I/O, Z zombie, T stopped, I idle. X: the process ended in the interval"`
	CPUTime     *CPUTime `json:"cpu_ms,omitempty" minimum:"0" doc:"CPU time used in the interval: milliseconds, to the microsecond"`
	CPUUsage    *float64 `json:"cpu_usage,omitempty" minimum:"0" doc:"Percent of one core over the interval. Ignored if cpu_ms is given"`
	MemoryUsage *int64   `json:"memory_usage,omitempty" minimum:"0" doc:"Resident set size, bytes"`
	Threads     *int32   `json:"threads,omitempty" minimum:"0"`
	OpenFiles   *int32   `json:"open_files,omitempty" minimum:"0" doc:"Open file descriptors"`
	ReadBytes   *int64   `json:"read_bytes,omitempty" minimum:"0" doc:"Bytes read in the interval"`
	WriteBytes  *int64   `json:"write_bytes,omitempty" minimum:"0" doc:"Bytes written in the interval"`
	// ExitStatus is only allowed if the process ended.
	ExitStatus
}

// Key returns the key of the process.
func (p *ProcessSample) Key() ProcessKey { return ProcessKey{PID: p.PID, StartedAt: p.StartedAt} }

// HasIdentity reports whether the entry has the identity of the process.
func (p *ProcessSample) HasIdentity() bool { return p.PPID != nil }

// Identity returns the identity of the process. It must only be called if HasIdentity returns true.
func (p *ProcessSample) Identity() Identity {
	return Identity{PPID: *p.PPID, Name: p.Name, CommandLine: p.CommandLine, User: p.User, Cgroup: p.Cgroup}
}

// StateEnded is the state of a process that ended in the interval. Its deltas are those until its end, and
// the process is not part of the process list. Its exit status can be given.
const StateEnded = "X"

// Ended reports whether the process ended in the interval.
func (p *ProcessSample) Ended() bool { return p.State == StateEnded }
