package snapshot

import "time"

// The limits on what an agent may send. Limits lists them for the docs.
const (
	MaxBodyBytes         = 8 << 20  // of a post as it arrives, compressed or not
	MaxDecompressedBytes = 64 << 20 // of a post after decompression
	MaxSnapshots         = 1000     // in one batch
	MaxProcesses         = 50_000   // in one snapshot, and as many exits
	MaxEntries           = 200_000  // processes, exits, devices and snapshots in one batch
	MaxDevices           = 1000     // disks of one snapshot, and as many interfaces and sensors
	MaxCores             = 4096     // of which a snapshot tells the usage of each
	MaxMachineIDBytes    = 128
	MaxTextBytes         = 255    // names of processes, users, devices, hosts
	MaxPathBytes         = 1024   // of a mount point, or of a control group
	MaxCommandLineBytes  = 32_768 // of a command line
	MaxSafeInteger       = 1<<53 - 1
	MaxUsage             = 6_553_600 // percent of one core a process can use: 65,536 cores
	MaxLoad              = 1_000_000
	MinPollingInterval   = 0.5  // seconds
	MaxPollingInterval   = 3600 // seconds
	MaxIntervalMS        = 86_400_000
	MaxNamePatterns      = 100 // names that a machine's agent does not record, and as many that it records
	// MaxClockSkew is how far ahead of the server's clock a timestamp may be.
	MaxClockSkew = 10 * time.Minute
	// MaxRunDuration is how long a run of changes may rest on one full snapshot. It
	// bounds what a read replays, and what retention keeps for the sake of reads.
	MaxRunDuration = 10 * time.Minute
)

// Limit is one limit, for the reference in docs/limits.md.
type Limit struct {
	What  string
	Value any
	Unit  string
}

// Limits lists every limit with its unit.
func Limits() []Limit {
	return []Limit{
		{"body of a post as sent", MaxBodyBytes, "bytes"},
		{"body of a post after decompression", MaxDecompressedBytes, "bytes"},
		{"snapshots in a batch", MaxSnapshots, ""},
		{"processes in a snapshot (and as many in exited)", MaxProcesses, ""},
		{"processes, exits, devices and snapshots in a batch, together", MaxEntries, ""},
		{"disks in a snapshot (and as many interfaces and sensors)", MaxDevices, ""},
		{"cores in a snapshot", MaxCores, ""},
		{"machine_id, of A-Z a-z 0-9 . _ : -", MaxMachineIDBytes, "bytes"},
		{"name of a process, user, device, interface, host", MaxTextBytes, "bytes"},
		{"mount point, control group", MaxPathBytes, "bytes"},
		{"command line", MaxCommandLineBytes, "bytes"},
		{"any byte count or duration", int64(MaxSafeInteger), ""},
		{"cpu_usage of a process", MaxUsage, "percent of one core"},
		{"load average", MaxLoad, ""},
		{"polling_interval, least", MinPollingInterval, "seconds"},
		{"polling_interval, most", MaxPollingInterval, "seconds"},
		{"names in a machine's exclude (and as many in include)", MaxNamePatterns, ""},
		{"interval_ms", MaxIntervalMS, "milliseconds"},
		{"timestamp ahead of the server's clock", MaxClockSkew, ""},
		{"changes after one full snapshot", MaxRunDuration, ""},
		{"depth of a process tree in an answer", MaxTreeDepth, "levels"},
	}
}
