package snapshot

import "time"

// HeartbeatInterval is the longest time between two posts of an agent. If there is no snapshot to send, the
// agent posts a batch without snapshots.
const HeartbeatInterval = 30 * time.Second

// Machine describes a machine when it registers. Only MachineID is required. Unknown fields are empty.
type Machine struct {
	// MachineID identifies the machine. The agent chooses it once and keeps it.
	MachineID    string `json:"machine_id" doc:"The agent's stable id of the machine: 1 to 128 of A-Z a-z 0-9 . _ : -" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._:-]+$"`
	Hostname     string `json:"hostname,omitempty" maxLength:"255" doc:"Host name"`
	OS           string `json:"os,omitempty" maxLength:"255" doc:"Operating system, for example linux"`
	Platform     string `json:"platform,omitempty" maxLength:"255" doc:"Distribution and version, such as debian 12.5"`
	Kernel       string `json:"kernel,omitempty" maxLength:"255" doc:"Kernel version"`
	Architecture string `json:"architecture,omitempty" maxLength:"255" doc:"CPU architecture, for example x86_64"`
	CPUModel     string `json:"cpu_model,omitempty" maxLength:"255" doc:"CPU model"`
	CPUCount     int32  `json:"cpu_count,omitzero" minimum:"0" maximum:"65536" doc:"Number of logical CPUs"`
	TotalRAM     int64  `json:"total_ram,omitzero" minimum:"0" maximum:"9007199254740991" doc:"Physical memory, bytes"`
	AgentVersion string `json:"agent_version,omitempty" maxLength:"255" doc:"Version of the agent"`
}

// Validate checks a registration. It returns nil or a *ValidationError.
func (m *Machine) Validate() error {
	v := validator{machineID: m.MachineID, snapshot: -1}
	v.validMachineID(m.MachineID)
	for _, text := range []struct{ field, value string }{
		{"hostname", m.Hostname}, {"os", m.OS}, {"platform", m.Platform}, {"kernel", m.Kernel},
		{"architecture", m.Architecture}, {"cpu_model", m.CPUModel}, {"agent_version", m.AgentVersion},
	} {
		v.text(text.field, text.value, MaxTextBytes)
	}
	return v.result()
}
