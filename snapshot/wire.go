package snapshot

// Kind tells whether a snapshot lists every process or only what changed.
type Kind string

// The two kinds. An absent kind means KindFull.
const (
	KindFull    Kind = "full"
	KindChanges Kind = "changes"
)

// Batch is the body of one POST: consecutive snapshots of one machine, oldest
// first. A batch without snapshots is a heartbeat.
type Batch struct {
	MachineID string     `json:"machine_id" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._:-]+$" doc:"The agent's stable id of the machine"`
	Snapshots []Snapshot `json:"snapshots,omitempty" nullable:"false" maxItems:"1000" doc:"Oldest first; none makes the post a heartbeat"`
}

// Snapshot is one machine at one instant as it travels from the agent.
type Snapshot struct {
	Timestamp Time `json:"timestamp" format:"date-time" doc:"When it was taken, RFC 3339, milliseconds kept"`
	Kind      Kind `json:"kind,omitempty" enum:"full,changes" default:"full" doc:"full lists every process; changes only what differs from the previous snapshot"`
	// Previous lets the server see a gap that the timestamps alone would hide.
	Previous Time `json:"previous,omitzero" format:"date-time" doc:"Changes only: the timestamp of the snapshot that the changes apply to; by default the machine's latest one before this"`
	// IntervalMS is what turns CPU time into CPU usage.
	IntervalMS int64           `json:"interval_ms,omitzero" minimum:"0" maximum:"86400000" doc:"Milliseconds that cpu_ms and the byte counts cover; by default the time since the machine's previous snapshot, or its polling interval where there is none"`
	Machine    MachineSnapshot `json:"machine_snapshot,omitzero"`
	Processes  []ProcessSample `json:"processes,omitempty" nullable:"false" maxItems:"50000" doc:"Every process (full), or the new and changed ones (changes)"`
	Exited     []ProcessKey    `json:"exited,omitempty" nullable:"false" maxItems:"50000" doc:"Changes only: processes that ended since the previous snapshot"`
}

// MachineSnapshot holds the system metrics of one instant; nil is "not known".
type MachineSnapshot struct {
	CPUUsage *float64 `json:"cpu_usage" required:"false" minimum:"0" maximum:"100" doc:"Percent of all cores"`
	// CPU is what CPUUsage is made of.
	CPU           *CPUModes   `json:"cpu,omitempty"`
	Cores         []int16     `json:"cores,omitempty" nullable:"false" maxItems:"4096" minimum:"0" maximum:"100" doc:"Percent of each core, the first core first"`
	Load1         *float64    `json:"load1" required:"false" minimum:"0"`
	Load5         *float64    `json:"load5" required:"false" minimum:"0"`
	Load15        *float64    `json:"load15" required:"false" minimum:"0"`
	UptimeMS      *int64      `json:"uptime_ms" required:"false" minimum:"0"`
	TotalRAM      *int64      `json:"total_ram" required:"false" minimum:"0" doc:"Bytes"`
	UsedRAM       *int64      `json:"used_ram" required:"false" minimum:"0" doc:"Bytes"`
	AvailableRAM  *int64      `json:"available_ram" required:"false" minimum:"0" doc:"Bytes"`
	TotalSwap     *int64      `json:"total_swap" required:"false" minimum:"0" doc:"Bytes"`
	UsedSwap      *int64      `json:"used_swap" required:"false" minimum:"0" doc:"Bytes"`
	TotalDisk     *int64      `json:"total_disk" required:"false" minimum:"0" doc:"Bytes, all listed disks"`
	UsedDisk      *int64      `json:"used_disk" required:"false" minimum:"0" doc:"Bytes, all listed disks"`
	AvailableDisk *int64      `json:"available_disk" required:"false" minimum:"0" doc:"Bytes, all listed disks"`
	Disks         []Disk      `json:"disks,omitempty" nullable:"false" maxItems:"1000"`
	Interfaces    []Interface `json:"interfaces,omitempty" nullable:"false" maxItems:"1000"`
	// Temperatures is empty on a machine that tells none, such as a virtual one.
	Temperatures []Temperature `json:"temperatures,omitempty" nullable:"false" maxItems:"1000"`
	// The last three say what a snapshot cannot show; nil or 0 is nothing of the kind.
	UnseenProcesses  *int64 `json:"unseen_processes,omitempty" minimum:"0" doc:"Processes and threads, at most, that began and ended since the previous snapshot and are in none"`
	DroppedSnapshots *int64 `json:"dropped_snapshots,omitempty" minimum:"0" doc:"Snapshots before this one that the agent took and had to drop: the server was away for too long"`
	ClockJumpMS      *int64 `json:"clock_jump_ms,omitempty" doc:"By how many milliseconds the machine's clock was set since the previous snapshot; less than 0 is back"`
}

// CPUModes is where the time of all cores went in the interval, in percent; what is
// missing to 100 was idle. See proc_stat(5); systems other than Linux know a few.
type CPUModes struct {
	User   *float64 `json:"user,omitempty" minimum:"0" maximum:"100" doc:"Percent of all cores"`
	Nice   *float64 `json:"nice,omitempty" minimum:"0" maximum:"100" doc:"At a lower priority"`
	System *float64 `json:"system,omitempty" minimum:"0" maximum:"100" doc:"In the kernel"`
	IOWait *float64 `json:"iowait,omitempty" minimum:"0" maximum:"100" doc:"Idle while waiting for disks; no part of cpu_usage"`
	IRQ    *float64 `json:"irq,omitempty" minimum:"0" maximum:"100" doc:"Serving interrupts, soft ones too"`
	Steal  *float64 `json:"steal,omitempty" minimum:"0" maximum:"100" doc:"Taken by the host of a virtual machine"`
}

// Temperature is what one sensor shows.
type Temperature struct {
	Sensor  string  `json:"sensor" minLength:"1" maxLength:"255"`
	Celsius float64 `json:"celsius" minimum:"-300" maximum:"10000"`
}

// Disk is one mounted file system; the byte counts cover the snapshot's interval.
type Disk struct {
	Device     string `json:"device" required:"false" maxLength:"255"`
	Mount      string `json:"mount" maxLength:"1024"`
	Total      *int64 `json:"total" required:"false" minimum:"0" doc:"Bytes"`
	Used       *int64 `json:"used" required:"false" minimum:"0" doc:"Bytes"`
	ReadBytes  *int64 `json:"read_bytes" required:"false" minimum:"0" doc:"Bytes read from the device in the interval"`
	WriteBytes *int64 `json:"write_bytes" required:"false" minimum:"0" doc:"Bytes written to the device in the interval"`
}

// Interface is one network interface; the byte counts cover the snapshot's interval.
type Interface struct {
	Name          string `json:"name" maxLength:"255"`
	ReceivedBytes *int64 `json:"received_bytes" required:"false" minimum:"0" doc:"Bytes received in the interval"`
	SentBytes     *int64 `json:"sent_bytes" required:"false" minimum:"0" doc:"Bytes sent in the interval"`
}

// ProcessKey tells one life of a pid from another: pids are reused, a pid with
// its start time is not. StartedAt is zero where it is not known.
type ProcessKey struct {
	PID       int32 `json:"pid" minimum:"0"`
	StartedAt Time  `json:"started_at,omitzero" format:"date-time"`
}

// Identity is what a process is, as opposed to what it does. It is sent once:
// with the first sample of a process, and again if any of it changes (exec
// renames a process, the death of its parent moves it).
type Identity struct {
	PPID        int32  `json:"ppid"`
	Name        string `json:"name"`
	CommandLine string `json:"command_line"`
	User        string `json:"user"`
	// Cgroup tells which service or container a process belongs to.
	Cgroup string `json:"cgroup,omitempty" doc:"Path of its control group: the service or container that it belongs to"`
}

// ProcessSample is one process in a Snapshot. A full snapshot gives the identity
// of every process; a changes entry only that of a new or renamed one. There,
// PPID and Name come together or not at all.
type ProcessSample struct {
	PID         int32    `json:"pid" minimum:"0"`
	StartedAt   Time     `json:"started_at,omitzero" format:"date-time" doc:"When the process started"`
	PPID        *int32   `json:"ppid,omitempty" minimum:"0" doc:"Needed of a new process"`
	Name        string   `json:"name,omitempty" maxLength:"255" doc:"Needed of a new process"`
	CommandLine string   `json:"command_line,omitempty" maxLength:"32768"`
	User        string   `json:"user,omitempty" maxLength:"255"`
	Cgroup      string   `json:"cgroup,omitempty" maxLength:"1024" doc:"Path of its control group: the service or container that it belongs to"`
	State       string   `json:"state,omitempty" pattern:"^[A-Za-z]$" doc:"One letter as in ps: R running, S sleeping, D waiting for I/O, Z zombie, T stopped, I idle; X: it ended in the interval, and is in no list from here on"`
	CPUMS       *int64   `json:"cpu_ms,omitempty" minimum:"0" doc:"CPU time spent in the interval, milliseconds"`
	CPUUsage    *float64 `json:"cpu_usage,omitempty" minimum:"0" doc:"Percent of one core over the interval; derived from cpu_ms where both are given"`
	MemoryUsage *int64   `json:"memory_usage,omitempty" minimum:"0" doc:"Resident set size, bytes"`
	Threads     *int32   `json:"threads,omitempty" minimum:"0"`
	OpenFiles   *int32   `json:"open_files,omitempty" minimum:"0" doc:"Open file descriptors"`
	ReadBytes   *int64   `json:"read_bytes,omitempty" minimum:"0" doc:"Bytes read in the interval"`
	WriteBytes  *int64   `json:"write_bytes,omitempty" minimum:"0" doc:"Bytes written in the interval"`
}

// Key returns what tells this process's life from others.
func (p *ProcessSample) Key() ProcessKey { return ProcessKey{PID: p.PID, StartedAt: p.StartedAt} }

// HasIdentity reports whether the entry says what the process is.
func (p *ProcessSample) HasIdentity() bool { return p.PPID != nil }

// Identity returns what the entry says the process is; only valid if HasIdentity.
func (p *ProcessSample) Identity() Identity {
	return Identity{PPID: *p.PPID, Name: p.Name, CommandLine: p.CommandLine, User: p.User, Cgroup: p.Cgroup}
}

// StateEnded is the state of a process that ended in the interval: what it spent until
// then counts, and it is in no list.
const StateEnded = "X"

// Ended reports whether the entry is of a process that ended in the interval.
func (p *ProcessSample) Ended() bool { return p.State == StateEnded }
