package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Machine is a machine as the store knows it.
type Machine struct {
	snapshot.Machine
	snapshot.Config
	// Tags say who sees the machine.
	Tags          []string
	ConfigVersion int64
	RegisteredAt  snapshot.Time
	LastSeen      snapshot.Time
	LastSnapshot  snapshot.Time // 0 for none yet
	// Latest is the system metrics of the newest snapshot, without devices; nil for none.
	Latest *snapshot.MachineSnapshot
	// ProcessCount is how many processes ran at the newest snapshot.
	ProcessCount int32
}

// Stale reports whether a machine has not been heard of for twice as long as its
// agent is silent at the most, and a second on top, because a post has to travel.
func (m *Machine) Stale(now time.Time) bool {
	interval := snapshot.HeartbeatInterval
	if m.Enabled {
		interval = min(interval, time.Duration(m.PollingInterval*float64(time.Second)))
	}
	return snapshot.TimeOf(now).Sub(m.LastSeen) > 2*interval+time.Second
}

// MachineStates is how many machines are in each state.
type MachineStates struct {
	// Up are heard of and take snapshots, Disabled are heard of and take none, Stale
	// are not heard of; see Machine.Stale.
	Up, Disabled, Stale int64
}

// States counts the machines by state.
func (s *Store) States(ctx context.Context) (MachineStates, error) {
	var n MachineStates
	err := s.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE NOT stale AND enabled), count(*) FILTER (WHERE NOT stale AND NOT enabled), count(*) FILTER (WHERE stale)
		FROM (SELECT enabled, $1 - last_seen > make_interval(secs => 2 * CASE WHEN enabled THEN least(polling_interval, $2) ELSE $2 END + 1) AS stale FROM machines) m`,
		s.cfg.Now(), snapshot.HeartbeatInterval.Seconds()).
		Scan(&n.Up, &n.Disabled, &n.Stale)
	if err != nil {
		return n, fmt.Errorf("count machines by state: %w", err)
	}
	return n, nil
}

// MachinePage asks for machines in order of hostname and id, after a given one.
type MachinePage struct {
	View                   View
	AfterHostname, AfterID string
	Limit                  int
}

const machineColumns = `m.machine_id, m.hostname, m.os, m.platform, m.kernel, m.architecture, m.cpu_model, m.cpu_count, m.total_ram, m.agent_version,
	m.enabled, m.polling_interval, m.include, m.exclude, m.omit, m.tags, m.config_version, m.registered_at, m.last_seen, s.ts, s.process_count,
	s.cpu_usage, s.load1, s.load5, s.load15, s.uptime_ms, s.total_ram, s.used_ram, s.available_ram, s.total_swap, s.used_swap,
	s.total_disk, s.used_disk, s.available_disk`

const (
	machinesSQL = `SELECT ` + machineColumns + `
		FROM (SELECT * FROM machines WHERE (hostname, machine_id) > ($1, $2) AND ($4 OR tags && $5) ORDER BY hostname, machine_id LIMIT $3) m
		LEFT JOIN snapshots s ON s.machine = m.id AND s.ts = m.last_snapshot
		ORDER BY m.hostname, m.machine_id`
	machineSQL = `SELECT ` + machineColumns + `
		FROM machines m LEFT JOIN snapshots s ON s.machine = m.id AND s.ts = m.last_snapshot WHERE m.machine_id = $1`
)

// Machines reads a page of machines; more tells that others follow.
func (s *Store) Machines(ctx context.Context, page MachinePage) (machines []Machine, more bool, err error) {
	defer s.metrics.observeRead("machines", time.Now())
	rows, err := s.pool.Query(
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
	return machines, more, nil
}

// Machine reads one machine, or returns snapshot.ErrNoMachine.
func (s *Store) Machine(ctx context.Context, machineID string) (*Machine, error) {
	defer s.metrics.observeRead("machine", time.Now())
	rows, err := s.pool.Query(ctx, machineSQL, machineID)
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
	return &machine, nil
}

func scanMachine(row pgx.CollectableRow) (Machine, error) {
	var m Machine
	var latest snapshot.MachineSnapshot
	var registered, seen time.Time
	var last *time.Time
	var count *int32
	err := row.Scan(
		&m.MachineID, &m.Hostname, &m.OS, &m.Platform, &m.Kernel, &m.Architecture, &m.CPUModel, &m.CPUCount,
		&m.TotalRAM, &m.AgentVersion, &m.Enabled, &m.PollingInterval, &m.Include, &m.Exclude, &m.Omit, &m.Tags,
		&m.ConfigVersion, &registered, &seen, &last, &count, &latest.CPUUsage, &latest.Load1, &latest.Load5,
		&latest.Load15, &latest.UptimeMS, &latest.TotalRAM, &latest.UsedRAM, &latest.AvailableRAM, &latest.TotalSwap,
		&latest.UsedSwap, &latest.TotalDisk, &latest.UsedDisk, &latest.AvailableDisk,
	)
	m.RegisteredAt, m.LastSeen = snapshot.TimeOf(registered), snapshot.TimeOf(seen)
	if last != nil {
		m.LastSnapshot, m.Latest, m.ProcessCount = snapshot.TimeOf(*last), &latest, *count
	}
	return m, err
}

// Hostnames returns the host names of machines by their ids.
func (s *Store) Hostnames(ctx context.Context, machineIDs []string) (map[string]string, error) {
	rows, err := s.pool.Query(ctx, `SELECT machine_id, hostname FROM machines WHERE machine_id = ANY($1)`, machineIDs)
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

// Register stores what a machine says of itself; created tells that it is new.
func (s *Store) Register(ctx context.Context, machine *snapshot.Machine) (created bool, err error) {
	err = s.pool.QueryRow(ctx, `
		INSERT INTO machines (machine_id, hostname, os, platform, kernel, architecture, cpu_model, cpu_count, total_ram, agent_version, registered_at, last_seen)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
		ON CONFLICT (machine_id) DO UPDATE SET hostname = $2, os = $3, platform = $4, kernel = $5, architecture = $6,
			cpu_model = $7, cpu_count = $8, total_ram = $9, agent_version = $10, last_seen = $11
		RETURNING xmax = 0`, // xmax is 0 in a row that was inserted and not updated
		machine.MachineID, machine.Hostname, machine.OS, machine.Platform, machine.Kernel, machine.Architecture,
		machine.CPUModel, machine.CPUCount, machine.TotalRAM, machine.AgentVersion, s.cfg.Now()).Scan(&created)
	if err != nil {
		return false, fmt.Errorf("register a machine: %w", err)
	}
	return created, nil
}

// ConfigChange is the fields to change; nil leaves one as it is.
type ConfigChange struct {
	Enabled         *bool
	PollingInterval *float64
	Include         *[]string
	Exclude         *[]string
	Omit            *[]snapshot.Part
	Tags            *[]string
	// IfVersion makes the change only if the config still has this version; 0 means any.
	IfVersion int64
}

// Configure changes a machine's config. It returns ErrNoMachine or, if the
// version differs, ErrVersionMismatch.
func (s *Store) Configure(ctx context.Context, machineID string, change ConfigChange) error {
	tag, err := s.pool.Exec(
		ctx,
		`
		UPDATE machines SET enabled = coalesce($2, enabled), polling_interval = coalesce($3, polling_interval),
			tags = coalesce($5, tags), exclude = coalesce($6, exclude), include = coalesce($7, include), omit = coalesce($8, omit), config_version = config_version + 1
		WHERE machine_id = $1 AND ($4 = 0 OR config_version = $4)`,
		machineID,
		change.Enabled,
		change.PollingInterval,
		change.IfVersion,
		change.Tags,
		change.Exclude,
		change.Include,
		change.Omit,
	)
	if err != nil {
		return fmt.Errorf("configure a machine: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return nil
	}
	if _, err := s.machineKey(ctx, machineID); err != nil {
		return err
	}
	return ErrVersionMismatch
}

// Delete forgets a machine at once; its history is out of reach from then on,
// and Maintain removes the rows. An agent that still runs registers it anew.
func (s *Store) Delete(ctx context.Context, machineID string) error {
	tag, err := s.pool.Exec(ctx, `
		WITH gone AS (DELETE FROM machines WHERE machine_id = $1 RETURNING id)
		INSERT INTO machine_deletions (machine, deleted_at) SELECT id, $2 FROM gone`, machineID, s.cfg.Now())
	if err != nil {
		return fmt.Errorf("delete a machine: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return snapshot.ErrNoMachine
	}
	s.askUpkeep()
	return nil
}
