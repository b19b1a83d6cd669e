package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// HeartbeatInterval is how often an agent posts at the least, whatever its polling
// interval: a batch without snapshots, if there is nothing else to tell.
const HeartbeatInterval = 30 * time.Second

// Machine is what a machine says of itself when it registers. Only MachineID is
// needed; what is not known stays empty.
type Machine struct {
	// MachineID names the machine for ever; it is chosen by the agent.
	MachineID    string `json:"machine_id" doc:"The agent's stable id of the machine: 1 to 128 of A-Z a-z 0-9 . _ : -" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._:-]+$"`
	Hostname     string `json:"hostname,omitempty" maxLength:"255" doc:"Host name"`
	OS           string `json:"os,omitempty" maxLength:"255" doc:"Operating system, for example linux"`
	Platform     string `json:"platform,omitempty" maxLength:"255" doc:"Distribution and its version, for example debian 12.5"`
	Kernel       string `json:"kernel,omitempty" maxLength:"255" doc:"Kernel version"`
	Architecture string `json:"architecture,omitempty" maxLength:"255" doc:"CPU architecture, for example x86_64"`
	CPUModel     string `json:"cpu_model,omitempty" maxLength:"255" doc:"CPU model name"`
	CPUCount     int32  `json:"cpu_count,omitzero" minimum:"0" maximum:"65536" doc:"Logical CPUs"`
	TotalRAM     int64  `json:"total_ram,omitzero" minimum:"0" maximum:"9007199254740991" doc:"Physical memory, bytes"`
	AgentVersion string `json:"agent_version,omitempty" maxLength:"255" doc:"Version of the agent that reports"`
}

// Config is what the server wants of a machine's agent. It comes back with
// every acknowledgement, so an agent learns of a change with its next post.
type Config struct {
	PollingInterval float64 `json:"polling_interval" minimum:"0.5" maximum:"3600" doc:"Seconds between two snapshots"`
	Enabled         bool    `json:"enabled" doc:"Whether the agent takes snapshots; a disabled one only sends heartbeats"`
	// Include names the only processes that do; none means all.
	Include []string `json:"include,omitempty" nullable:"false" maxItems:"100" doc:"Names of the only processes that the agent records; * stands for any text, and none for all processes"`
	// Exclude names processes that never leave the machine.
	Exclude []string `json:"exclude,omitempty" nullable:"false" maxItems:"100" doc:"Names of processes that the agent does not record; * stands for any text"`
	// Omit names what of a snapshot never leaves the machine.
	Omit []Part `json:"omit,omitempty" nullable:"false" maxItems:"20" enum:"command_lines,cgroups,io,open_files,short_lived,cores,disks,interfaces,temperatures" doc:"What the agent does not collect"`
}

// Part is a part of a snapshot that an agent can be told not to collect.
type Part string

// The parts.
const (
	PartCommandLines Part = "command_lines"
	PartCgroups      Part = "cgroups"
	PartProcessIO    Part = "io"
	PartOpenFiles    Part = "open_files"
	// PartShortLived is the processes that begin and end between two snapshots.
	PartShortLived   Part = "short_lived"
	PartCores        Part = "cores"
	PartDisks        Part = "disks"
	PartInterfaces   Part = "interfaces"
	PartTemperatures Part = "temperatures"
)

// Parts lists them all.
func Parts() []Part {
	return []Part{PartCommandLines, PartCgroups, PartProcessIO, PartOpenFiles, PartShortLived, PartCores, PartDisks, PartInterfaces, PartTemperatures}
}

// Equal compares two configs.
func (c Config) Equal(o Config) bool {
	return c.PollingInterval == o.PollingInterval && c.Enabled == o.Enabled && slices.Equal(c.Exclude, o.Exclude) &&
		slices.Equal(c.Include, o.Include) && slices.Equal(c.Omit, o.Omit)
}

// Records reports whether a process of this name is to be recorded.
func (c Config) Records(name string) bool {
	if len(c.Include) > 0 && !matchesAny(c.Include, name) {
		return false
	}
	return !matchesAny(c.Exclude, name)
}

// Omits reports whether a part is not to be collected.
func (c Config) Omits(part Part) bool { return slices.Contains(c.Omit, part) }

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matchesName(pattern, name) })
}

// matchesName compares a name with a pattern in which * stands for any text.
func matchesName(pattern, name string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return name == pattern
	}
	name, found := strings.CutPrefix(name, first)
	parts := strings.Split(rest, "*")
	for _, part := range parts[:len(parts)-1] {
		if !found {
			return false
		}
		_, name, found = strings.Cut(name, part)
	}
	return found && strings.HasSuffix(name, parts[len(parts)-1])
}

// ValidateNamePatterns tells what is wrong with a list of names to include or exclude, which is
// the value of a field: it returns nil or a *ValidationError.
func ValidateNamePatterns(field string, patterns []string) error {
	v := validator{snapshot: -1}
	v.count(field, len(patterns), MaxNamePatterns)
	for i, pattern := range patterns {
		v.required(fmt.Sprintf("%s[%d]", field, i), pattern, MaxTextBytes)
	}
	if v.err != nil {
		return v.err
	}
	return nil
}

// DefaultConfig is the config of a machine that no one has configured.
func DefaultConfig() Config { return Config{PollingInterval: 5, Enabled: true} }

// Ack answers a batch once it is committed.
type Ack struct {
	Stored        int    `json:"stored" doc:"Snapshots of this batch that are now stored for the first time"`
	Duplicates    int    `json:"duplicates" doc:"Snapshots of this batch that were stored before"`
	Config        Config `json:"config"`
	ConfigVersion int64  `json:"config_version" doc:"Rises with every change of the config"`
	Unregistered  bool   `json:"unregistered,omitzero" doc:"The server knows this machine by nothing but its id, perhaps because it was deleted: an agent registers it"`
}

// WriteResult is what became of one batch of a group: an acknowledgement, or the
// error for which nothing of the batch was stored: a *ValidationError if it is the
// batch's, any other if it is the server's.
type WriteResult struct {
	Ack Ack
	Err error
}
