package query

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// CompetingAgents are several agents that report as one machine in turns, because their state directory was copied.
type CompetingAgents struct {
	// Since and LastTurn are the times of the first and the last post of an agent after those of another one.
	Since, LastTurn snapshot.Time
	Agents          []CompetingAgent
}

// CompetingAgent is one of several agents that report as a machine.
type CompetingAgent struct {
	snapshot.Source
	// FirstSeen and LastSeen are the times of its first and its last turn.
	FirstSeen, LastSeen snapshot.Time
}

// Names returns the names of the agents; see snapshot.SourceNames.
func (c *CompetingAgents) Names() []string {
	if c == nil {
		return nil
	}
	sources := make([]snapshot.Source, len(c.Agents))
	for i := range c.Agents {
		sources[i] = c.Agents[i].Source
	}
	return snapshot.SourceNames(sources)
}

// turns holds the columns of a machine that say whether several agents report as it in turns.
type turns struct {
	machine     int32
	count       int
	since, last *time.Time
}

// loadCompetingAgents sets CompetingAgents of the machines that have several agents.
func (q *Queries) loadCompetingAgents(ctx context.Context, machines []Machine) error {
	now := q.now()
	var ids []int32
	var since []time.Time
	byID := make(map[int32]*Machine)
	for i := range machines {
		m := &machines[i]
		if schema.HaveTurns(m.turns.count, m.turns.last, m.PollingInterval, now) && m.turns.since != nil {
			m.CompetingAgents = &CompetingAgents{
				Since: snapshot.TimeOf(*m.turns.since), LastTurn: snapshot.TimeOf(*m.turns.last),
			}
			ids, since, byID[m.turns.machine] = append(ids, m.turns.machine), append(since, *m.turns.since), m
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := q.pool.Query(ctx, `SELECT s.machine, s.run_id, s.boot_id, s.hostname, s.first_seen, s.last_seen
		FROM unnest($1::integer[], $2::timestamptz[]) u(machine, since)
			JOIN machine_sources s ON s.machine = u.machine AND s.last_seen >= u.since
		ORDER BY s.machine, s.hostname, s.first_seen, s.source`, ids, since)
	if err != nil {
		return fmt.Errorf("read the agents of machines: %w", err)
	}
	var machine int32
	var agent CompetingAgent
	var first, last time.Time
	dest := []any{&machine, &agent.RunID, &agent.BootID, &agent.Hostname, &first, &last}
	if _, err := pgx.ForEachRow(rows, dest, func() error {
		agent.FirstSeen, agent.LastSeen = snapshot.TimeOf(first), snapshot.TimeOf(last)
		competing := byID[machine].CompetingAgents
		competing.Agents = append(competing.Agents, agent)
		return nil
	}); err != nil {
		return fmt.Errorf("read the agents of machines: %w", err)
	}
	return nil
}
