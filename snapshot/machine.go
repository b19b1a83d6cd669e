package snapshot

import (
	"cmp"
	"time"
)

// HeartbeatInterval is the longest time between two posts of an agent. If there is no snapshot to send, the
// agent posts a batch without snapshots.
const HeartbeatInterval = 30 * time.Second

// Machine describes a machine when it registers. Only MachineID is required. Unknown fields are empty.
type Machine struct {
	// MachineID identifies the machine. The agent chooses it once and keeps it.
	MachineID    string `json:"machine_id" doc:"The agent's stable id of the machine: 1 to 128 of A-Z a-z 0-9 . _ : -, but not . or .., which URLs cannot contain" minLength:"1" maxLength:"128" pattern:"^([.]{0,2}[A-Za-z0-9_:-][A-Za-z0-9._:-]*|[.]{3}[A-Za-z0-9._:-]*)$" patternDescription:"made of A-Z a-z 0-9 . _ : -, and not . or .."`
	Hostname     string `json:"hostname,omitempty" maxLength:"255" doc:"Host name"`
	OS           string `json:"os,omitempty" maxLength:"255" doc:"Operating system, for example linux"`
	Platform     string `json:"platform,omitempty" maxLength:"255" doc:"Distribution and version, such as debian 12.5"`
	Kernel       string `json:"kernel,omitempty" maxLength:"255" doc:"Kernel version"`
	Architecture string `json:"architecture,omitempty" maxLength:"255" doc:"CPU architecture, for example x86_64"`
	CPUModel     string `json:"cpu_model,omitempty" maxLength:"255" doc:"CPU model"`
	CPUCount     int32  `json:"cpu_count,omitzero" minimum:"0" maximum:"65536" doc:"Number of logical CPUs"`
	TotalRAM     int64  `json:"total_ram,omitzero" minimum:"0" maximum:"9007199254740991" doc:"Physical memory, bytes"`
	AgentVersion string `json:"agent_version,omitempty" maxLength:"255" doc:"Version of the agent"`
	// OwnProcessesOnly is true if the machine hides other users' processes from the agent.
	OwnProcessesOnly bool `json:"own_processes_only,omitzero" doc:"Whether only processes of the agent's own user are visible to it, because /proc is mounted with hidepid"`
	// ProcessReader is how an agent on Linux reads processes: ReaderBPF or ReaderProc.
	ProcessReader string `json:"process_reader,omitempty" enum:"bpf,proc" doc:"How an agent on Linux reads processes: with BPF or from /proc"`
	// ProcessReaderReason says why they are read from /proc.
	ProcessReaderReason string `json:"process_reader_reason,omitempty" maxLength:"255" doc:"Why processes are not read with BPF"`
}

// Values of Machine.ProcessReader.
const (
	ReaderBPF  = "bpf"
	ReaderProc = "proc"
)

// Source identifies the agent that sends a post. The server uses it to detect several agents that report as one
// machine, because their state directory was copied.
type Source struct {
	RunID    string `json:"run_id,omitempty" maxLength:"64" pattern:"^[A-Za-z0-9-]*$" doc:"Random id that the agent creates at its start"`
	BootID   string `json:"boot_id,omitempty" maxLength:"64" pattern:"^[A-Za-z0-9-]*$" doc:"Id of the machine's boot"`
	Hostname string `json:"hostname,omitempty" maxLength:"255" doc:"Host name"`
}

// Key returns what distinguishes the source from others. It is empty if nothing is known. A host name can change while
// an agent runs, so it only counts if there is no run id.
func (s Source) Key() string {
	if s.RunID != "" || s == (Source{}) {
		return s.RunID
	}
	return s.BootID + "/" + s.Hostname
}

// SourceNames returns the host names of sources. Those with a host name that is unknown or not unique are followed by
// the first characters of the boot id, and of the run id if the boot is the same.
func SourceNames(sources []Source) []string {
	names := make([]string, len(sources))
	for i, source := range sources {
		sameHost, sameBoot := source.Hostname == "", false
		for k, other := range sources {
			if k != i && other.Hostname == source.Hostname {
				sameHost, sameBoot = true, sameBoot || other.BootID == source.BootID
			}
		}
		names[i] = cmp.Or(source.Hostname, "?")
		if sameHost && source.BootID != "" {
			names[i] += " (boot " + shortID(source.BootID) + ")"
		}
		if (sameBoot || sameHost && source.BootID == "") && source.RunID != "" {
			names[i] += " (run " + shortID(source.RunID) + ")"
		}
	}
	return names
}

// shortID returns the first characters of an id.
func shortID(id string) string { return id[:min(len(id), 8)] }

// Validate checks a registration. It returns nil or a *ValidationError.
func (m *Machine) Validate() error {
	v := validator{machineID: m.MachineID, snapshot: -1}
	v.validMachineID(m.MachineID)
	for _, text := range []struct{ field, value string }{
		{"hostname", m.Hostname}, {"os", m.OS}, {"platform", m.Platform}, {"kernel", m.Kernel},
		{"architecture", m.Architecture}, {"cpu_model", m.CPUModel}, {"agent_version", m.AgentVersion},
		{"process_reader_reason", m.ProcessReaderReason},
	} {
		v.text(text.field, text.value, MaxTextBytes)
	}
	switch m.ProcessReader {
	case "", ReaderBPF, ReaderProc:
	default:
		v.fail("process_reader", "must be bpf or proc")
	}
	return v.result()
}
