package api

import (
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// CompetingAgentsView is several agents that report as one machine.
type CompetingAgentsView struct {
	Since    snapshot.Time        `json:"since" format:"date-time" doc:"When an agent posted for the first time after another one had"`
	LastTurn snapshot.Time        `json:"last_turn" format:"date-time" doc:"When that happened last"`
	Agents   []CompetingAgentView `json:"agents" nullable:"false"`
}

// CompetingAgentView is one of several agents that report as a machine.
type CompetingAgentView struct {
	Name      string        `json:"name" doc:"Host name, with parts of the ids of the boot and of the run if needed to distinguish the agents"`
	Hostname  string        `json:"hostname"`
	BootID    string        `json:"boot_id" doc:"Id of the machine's boot"`
	FirstSeen snapshot.Time `json:"first_seen" format:"date-time" doc:"When the agent reported first"`
	LastSeen  snapshot.Time `json:"last_seen" format:"date-time" doc:"When its last turn began or ended"`
}

func competingAgentsView(competing *query.CompetingAgents) *CompetingAgentsView {
	if competing == nil {
		return nil
	}
	view := &CompetingAgentsView{Since: competing.Since, LastTurn: competing.LastTurn, Agents: []CompetingAgentView{}}
	for i, name := range competing.Names() {
		agent := &competing.Agents[i]
		view.Agents = append(view.Agents, CompetingAgentView{
			Name: name, Hostname: agent.Hostname, BootID: agent.BootID,
			FirstSeen: agent.FirstSeen, LastSeen: agent.LastSeen,
		})
	}
	return view
}
