package snapshot

// Ack acknowledges a batch after it is committed.
type Ack struct {
	Stored     int `json:"stored" doc:"Snapshots of this batch that were not stored before"`
	Duplicates int `json:"duplicates" doc:"Snapshots of this batch that were already stored"`

	Config        Config `json:"config"`
	ConfigVersion int64  `json:"config_version" doc:"Increases with every change of the config"`

	// Unregistered asks the agent to register the machine.
	Unregistered bool `json:"unregistered,omitzero" doc:"The machine is not registered, perhaps because it was deleted. The agent registers it"`

	// CompetingAgents is set if a state directory was copied to another machine.
	CompetingAgents []string `json:"competing_agents,omitempty" nullable:"false" doc:"Host names of the agents that report as this machine in turns, because their state directory was copied. Absent if there is one agent"`
}

// WriteResult is the result of writing one batch of a group. If Err is set, nothing of the batch is stored.
// Err is a *ValidationError if the batch is at fault. Other errors are the server's.
type WriteResult struct {
	Ack Ack
	Err error
}
