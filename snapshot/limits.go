package snapshot

import "time"

// The limits on what an agent may send. Limits lists them for the documentation.
const (
	MaxBodyBytes         = 8 << 20   // body of a post as sent, compressed or not
	MaxDecompressedBytes = 64 << 20  // body of a post after decompression
	MaxSnapshots         = 1000      // snapshots in a batch
	MaxProcesses         = 50_000    // processes and exited processes in a snapshot, each
	MaxEntries           = 200_000   // processes, exits, devices and snapshots in a batch, in total
	MaxDevices           = 1000      // disks, interfaces and temperature sensors in a snapshot, each
	MaxStale             = 1100      // names in stale: disks, processes and a few others
	MaxCores             = 4096      // cores in a snapshot
	MaxMachineIDBytes    = 128       // length of a machine id
	MaxSourceIDBytes     = 64        // length of the ids of a source
	MaxTextBytes         = 255       // names of processes, users, devices, interfaces and hosts
	MaxPathBytes         = 1024      // mount points and control groups
	MaxCommandLineBytes  = 32_768    // length of a command line
	MaxSafeInteger       = 1<<53 - 1 // byte counts and durations, because JavaScript rounds larger integers
	MaxUsage             = 6_553_600 // CPU usage of a process in percent of one core: 65,536 cores
	// MaxCPUTime is 253 years. In milliseconds, a float64 is exact to the microsecond up to it, as in JavaScript.
	MaxCPUTime CPUTime = 8_000_000_000_000_000
	// MaxMemoryBytes limits the memory of a process. It is 16 times that of the largest machines. The memory of the
	// machine is no limit. The system counts a page for each address that it is mapped to, as with merged pages (KSM)
	// and with several mappings of one heap. It also counts persistent memory, which is not part of the machine's. And
	// a container can report less memory than its host has.
	MaxMemoryBytes     = 1 << 50
	MaxExitCode        = 255
	MaxExitSignal      = 127
	MaxLoad            = 1_000_000 // load averages
	MinPollingInterval = 0.5       // seconds
	MaxPollingInterval = 3600      // seconds
	MaxIntervalMS      = 86_400_000
	MaxNamePatterns    = 100 // patterns in a machine's exclude and include, each

	// The CPU times and byte counts of a snapshot are limited by what the machine can do in its interval, with a wide
	// margin. Without a limit, the amounts of a single row could outweigh all others of a machine.
	MaxBytesPerSecond = 1 << 40
	// DeltaMargin is added to the interval: an agent can report what a process used before the interval, if it could
	// not read it earlier.
	DeltaMargin = 10 * time.Minute

	// MaxClockSkew is how far a timestamp may be ahead of the server's clock.
	MaxClockSkew = 10 * time.Minute
	// MaxRunDuration is the maximum time from a full snapshot to the last changes snapshot that applies to
	// it. It bounds how much a read replays, and how long retention keeps data that later snapshots need.
	MaxRunDuration = 10 * time.Minute
)

// Limit is one limit for docs/limits.md.
type Limit struct {
	Name  string
	Value any
	Unit  string
}

// Limits returns all limits with their units.
func Limits() []Limit {
	return []Limit{
		{"Request body as sent", MaxBodyBytes, "bytes"},
		{"Request body after decompression", MaxDecompressedBytes, "bytes"},
		{"Snapshots in a batch", MaxSnapshots, ""},
		{"`processes` in a snapshot; `exited` in a snapshot", MaxProcesses, ""},
		{"Processes, exits, devices and snapshots in a batch, in total", MaxEntries, ""},
		{"`disks` in a snapshot; `interfaces`; `temperatures`", MaxDevices, ""},
		{"`stale` in a snapshot", MaxStale, ""},
		{"`cores` in a snapshot", MaxCores, ""},
		{"`machine_id`, of A-Z a-z 0-9 . _ : -, not . or ..", MaxMachineIDBytes, "bytes"},
		{"`run_id` and `boot_id` of `source`, of A-Z a-z 0-9 -", MaxSourceIDBytes, "bytes"},
		{"Name of a process, user, device, interface or host", MaxTextBytes, "bytes"},
		{"Mount point; control group", MaxPathBytes, "bytes"},
		{"`command_line`", MaxCommandLineBytes, "bytes"},
		{"Byte counts and durations", int64(MaxSafeInteger), ""},
		{"`cpu_usage` of a process", MaxUsage, "percent of one core"},
		{"`cpu_ms` of a process for each core of the machine", "`interval_ms` plus " + DeltaMargin.String(), ""},
		{
			"Byte counts for each second of `interval_ms` plus " + DeltaMargin.String(),
			int64(MaxBytesPerSecond), "bytes",
		},
		{"`memory_usage` of a process", int64(MaxMemoryBytes), "bytes"},
		{"`exit_code` of a process", MaxExitCode, ""},
		{"`exit_signal` of a process", MaxExitSignal, ""},
		{"Load averages", MaxLoad, ""},
		{"`polling_interval`, minimum", MinPollingInterval, "seconds"},
		{"`polling_interval`, maximum", MaxPollingInterval, "seconds"},
		{"Names in a machine's `exclude`; in its `include`", MaxNamePatterns, ""},
		{"`interval_ms`", MaxIntervalMS, "milliseconds"},
		{"Time that a timestamp may be ahead of the server's clock", MaxClockSkew, ""},
		{"Time from a full snapshot to the last changes that apply to it", MaxRunDuration, ""},
		{"Depth of a process tree in a response", MaxTreeDepth, "levels"},
	}
}
