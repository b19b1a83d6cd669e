package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// Machine is a registered machine with its configuration and state.
type Machine struct {
	snapshot.Machine
	snapshot.Config
	// Tags control which users can see the machine.
	Tags          []string
	ConfigVersion int64
	RegisteredAt  snapshot.Time
	LastSeen      snapshot.Time
	LastSnapshot  snapshot.Time // 0 for none yet. The snapshot itself may have been dropped.
	// CompetingAgents are the agents that report as the machine in turns, or nil.
	CompetingAgents *CompetingAgents
	// Latest holds the system metrics of the last snapshot, without devices, or nil if it is not stored.
	Latest *snapshot.MachineSnapshot
	// ProcessCount is the number of processes in the last snapshot, or nil if it is not stored.
	ProcessCount *int32

	turns turns
}

// Stale reports whether a machine's agent has sent nothing for more than two intervals plus a second
// for the network.
func (m *Machine) Stale(now time.Time) bool {
	interval := snapshot.HeartbeatInterval
	if m.Enabled {
		interval = min(interval, time.Duration(m.PollingInterval*float64(time.Second)))
	}
	return snapshot.TimeOf(now).Sub(m.LastSeen) > 2*interval+time.Second
}

// Waiting reports whether no snapshot of an enabled machine has arrived yet.
func (m *Machine) Waiting() bool { return m.Enabled && m.LastSnapshot == 0 }

// outdatedAfter is how much older than two intervals the latest snapshot of a machine may be and still be current. The
// clocks of machines differ, and a snapshot may be under way.
const outdatedAfter = 5 * time.Minute

// Outdated reports whether the latest snapshot is not current, so that its values must not be shown as those of now.
func (m *Machine) Outdated(now time.Time) bool {
	interval := time.Duration(m.PollingInterval * float64(time.Second))
	age := snapshot.TimeOf(now).Sub(m.LastSnapshot)
	return m.LastSnapshot == 0 || m.Stale(now) || age > 2*interval+outdatedAfter
}

// MachineStates is the number of machines by state.
type MachineStates struct {
	// The agents of Up machines send snapshots, those of Disabled machines only heartbeats, and those of
	// Stale machines nothing; see Machine.Stale. No snapshot of a Waiting machine has arrived yet.
	Up, Disabled, Waiting, Stale int64
	// Competing machines have several agents; see Machine.CompetingAgents. They are also in another state.
	Competing int64
}

// States returns the number of machines by state.
func (q *Queries) States(ctx context.Context) (MachineStates, error) {
	var n MachineStates
	err := q.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE NOT stale AND enabled AND sent), count(*) FILTER (WHERE NOT stale AND NOT enabled),
			count(*) FILTER (WHERE NOT stale AND enabled AND NOT sent), count(*) FILTER (WHERE stale), count(*) FILTER (WHERE competing)
		FROM (SELECT `+schema.TurnsSQL+` AS competing, enabled, last_snapshot IS NOT NULL AS sent, $1 - last_seen > make_interval(secs => 2 * CASE WHEN enabled THEN least(polling_interval, $2) ELSE $2 END + 1) AS stale FROM machines m) m`,
		q.now(), snapshot.HeartbeatInterval.Seconds()).
		Scan(&n.Up, &n.Disabled, &n.Waiting, &n.Stale, &n.Competing)
	if err != nil {
		return n, fmt.Errorf("count machines by state: %w", err)
	}
	return n, nil
}

// MachinePage selects machines after a given one, in order of host name and id.
type MachinePage struct {
	View                   View
	AfterHostname, AfterID string
	Limit                  int
}

const machineColumns = `m.machine_id, m.hostname, m.os, m.platform, m.kernel, m.architecture, m.cpu_model, m.cpu_count,
	m.total_ram, m.agent_version, m.enabled, m.polling_interval, m.include, m.exclude, m.omit, m.tags, m.config_version,
	m.registered_at, m.last_seen, m.own_processes_only, m.process_reader, m.process_reader_reason, m.id, m.turns,
	m.turns_since, m.turned_at, m.last_snapshot, s.process_count, `

var (
	machinesSQL = `SELECT ` + machineColumns + schema.LatestColumns + `
		FROM (SELECT * FROM machines WHERE (hostname, machine_id) > ($1, $2) AND ($4 OR tags && $5) ORDER BY hostname, machine_id LIMIT $3) m
		LEFT JOIN snapshots s ON s.machine = m.id AND s.ts = m.last_snapshot
		ORDER BY m.hostname, m.machine_id`
	machineSQL = `SELECT ` + machineColumns + schema.LatestColumns + `
		FROM machines m LEFT JOIN snapshots s ON s.machine = m.id AND s.ts = m.last_snapshot WHERE m.machine_id = $1`
)

// Machines returns a page of machines. more reports whether there are more.
func (q *Queries) Machines(ctx context.Context, page MachinePage) (machines []Machine, more bool, err error) {
	defer q.observe("machines", time.Now())
	rows, err := q.pool.Query(
		ctx, machinesSQL, page.AfterHostname, page.AfterID, page.Limit+1, page.View.All, page.View.tags(),
	)
	if err != nil {
		return nil, false, fmt.Errorf("read machines: %w", err)
	}
	machines, err = pgx.CollectRows(rows, scanMachine)
	if err != nil {
		return nil, false, fmt.Errorf("read machines: %w", err)
	}
	if more = len(machines) > page.Limit; more {
		machines = machines[:page.Limit]
	}
	return machines, more, q.loadCompetingAgents(ctx, machines)
}

// Machine returns a machine, or snapshot.ErrNoMachine.
func (q *Queries) Machine(ctx context.Context, machineID string) (*Machine, error) {
	defer q.observe("machine", time.Now())
	rows, err := q.pool.Query(ctx, machineSQL, machineID)
	if err != nil {
		return nil, fmt.Errorf("read a machine: %w", err)
	}
	machine, err := pgx.CollectExactlyOneRow(rows, scanMachine)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, snapshot.ErrNoMachine
	}
	if err != nil {
		return nil, fmt.Errorf("read a machine: %w", err)
	}
	one := []Machine{machine}
	return &one[0], q.loadCompetingAgents(ctx, one)
}

func scanMachine(row pgx.CollectableRow) (Machine, error) {
	var m Machine
	var latest schema.Snapshot
	var registered, seen time.Time
	var last *time.Time
	err := row.Scan(append([]any{
		&m.MachineID, &m.Hostname, &m.OS, &m.Platform, &m.Kernel, &m.Architecture, &m.CPUModel, &m.CPUCount,
		&m.TotalRAM, &m.AgentVersion, &m.Enabled, &m.PollingInterval, &m.Include, &m.Exclude, &m.Omit, &m.Tags,
		&m.ConfigVersion, &registered, &seen, &m.OwnProcessesOnly, &m.ProcessReader, &m.ProcessReaderReason,
		&m.turns.machine, &m.turns.count, &m.turns.since, &m.turns.last, &last, &m.ProcessCount,
	}, latest.LatestDest()...)...)
	if err != nil {
		return m, err
	}
	m.RegisteredAt, m.LastSeen = snapshot.TimeOf(registered), snapshot.TimeOf(seen)
	if last != nil {
		m.LastSnapshot = snapshot.TimeOf(*last)
	}
	if m.ProcessCount == nil {
		return m, nil
	}
	metrics, err := latest.Metrics()
	m.Latest = &metrics
	return m, err
}

// SharedHostnames returns those of the host names that several machines of a view have.
func (q *Queries) SharedHostnames(ctx context.Context, view View, hostnames []string) (map[string]bool, error) {
	rows, err := q.pool.Query(ctx, `SELECT hostname FROM machines WHERE hostname = ANY($1) AND hostname <> ''
		AND ($2 OR tags && $3) GROUP BY hostname HAVING count(*) > 1`, hostnames, view.All, view.tags())
	if err != nil {
		return nil, fmt.Errorf("look up shared host names: %w", err)
	}
	shared := make(map[string]bool)
	var hostname string
	if _, err := pgx.ForEachRow(rows, []any{&hostname}, func() error {
		shared[hostname] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("look up shared host names: %w", err)
	}
	return shared, nil
}

// Hostnames returns the host names of machines by machine id.
func (q *Queries) Hostnames(ctx context.Context, machineIDs []string) (map[string]string, error) {
	rows, err := q.pool.Query(ctx, `SELECT machine_id, hostname FROM machines WHERE machine_id = ANY($1)`, machineIDs)
	if err != nil {
		return nil, fmt.Errorf("read host names: %w", err)
	}
	names := make(map[string]string, len(machineIDs))
	var machineID, hostname string
	if _, err := pgx.ForEachRow(rows, []any{&machineID, &hostname}, func() error {
		names[machineID] = hostname
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read host names: %w", err)
	}
	return names, nil
}
