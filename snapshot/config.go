package snapshot

import "slices"

// Config holds the settings of a machine's agent. The server returns it with every acknowledgement, so a
// change takes effect at the agent's next post.
type Config struct {
	PollingInterval float64 `json:"polling_interval" minimum:"0.5" maximum:"3600" doc:"Seconds between two snapshots"`
	// Enabled is false if the agent only sends heartbeats.
	Enabled bool `json:"enabled" doc:"Whether the agent takes snapshots. A disabled agent only sends heartbeats"`
	// Include and Exclude are patterns of process names, in which * matches any text. See RecordsProcess.
	Include []string `json:"include,omitempty" nullable:"false" maxItems:"100" doc:"Names of the processes that the agent records; * matches any text. Empty: all"`
	Exclude []string `json:"exclude,omitempty" nullable:"false" maxItems:"100" doc:"Names of processes that the agent does not record; * matches any text"`
	// Omit lists the parts of a snapshot that the agent does not collect.
	Omit []Part `json:"omit,omitempty" nullable:"false" maxItems:"20" enum:"command_lines,cgroups,io,open_files,short_lived,cores,disks,interfaces,temperatures" doc:"Parts of a snapshot that the agent does not collect"`
}

// DefaultConfig returns the config of a machine whose config was never changed.
func DefaultConfig() Config { return Config{PollingInterval: 5, Enabled: true} }

// Part is an optional part of a snapshot.
type Part string

// The parts that Config.Omit may list.
const (
	PartCommandLines Part = "command_lines"
	PartCgroups      Part = "cgroups"
	PartProcessIO    Part = "io"
	PartOpenFiles    Part = "open_files"
	PartShortLived   Part = "short_lived" // processes that start and end between two snapshots
	PartCores        Part = "cores"
	PartDisks        Part = "disks"
	PartInterfaces   Part = "interfaces"
	PartTemperatures Part = "temperatures"
)

// Parts returns all parts.
func Parts() []Part {
	return []Part{
		PartCommandLines, PartCgroups, PartProcessIO, PartOpenFiles, PartShortLived, PartCores, PartDisks,
		PartInterfaces, PartTemperatures,
	}
}

// Equal reports whether two configs are the same.
func (c Config) Equal(o Config) bool {
	return c.PollingInterval == o.PollingInterval && c.Enabled == o.Enabled && slices.Equal(c.Exclude, o.Exclude) &&
		slices.Equal(c.Include, o.Include) && slices.Equal(c.Omit, o.Omit)
}

// Omits reports whether the agent does not collect a part.
func (c Config) Omits(part Part) bool { return slices.Contains(c.Omit, part) }
