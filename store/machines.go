package store

import (
	"context"
	"fmt"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Register inserts or updates a machine. created reports whether it is new.
func (s *Store) Register(ctx context.Context, machine *snapshot.Machine) (created bool, err error) {
	err = s.pools.control.QueryRow(ctx, `
		INSERT INTO machines (machine_id, hostname, os, platform, kernel, architecture, cpu_model, cpu_count, total_ram, agent_version, own_processes_only,
			process_reader, process_reader_reason, registered_at, last_seen)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12, $13, $14, $11, $11)
		ON CONFLICT (machine_id) DO UPDATE SET hostname = $2, os = $3, platform = $4, kernel = $5, architecture = $6,
			cpu_model = $7, cpu_count = $8, total_ram = $9, agent_version = $10, last_seen = $11,
			own_processes_only = $12, process_reader = $13, process_reader_reason = $14
		RETURNING xmax = 0`, // xmax is 0 if the row was inserted
		machine.MachineID, machine.Hostname, machine.OS, machine.Platform, machine.Kernel, machine.Architecture,
		machine.CPUModel, machine.CPUCount, machine.TotalRAM, machine.AgentVersion, s.cfg.Now(),
		machine.OwnProcessesOnly, machine.ProcessReader, machine.ProcessReaderReason,
	).Scan(&created)
	if err != nil {
		return false, fmt.Errorf("register a machine: %w", err)
	}
	return created, nil
}

// ConfigChange is a change of a machine's config. Fields that are nil do not change.
type ConfigChange struct {
	Enabled         *bool
	PollingInterval *float64
	Include         *[]string
	Exclude         *[]string
	Omit            *[]snapshot.Part
	Tags            *[]string
	// IfVersion is the version that the config must have, 0 for any.
	IfVersion int64
}

// Configure changes a machine's config. It returns snapshot.ErrNoMachine, or ErrVersionMismatch if the
// config has another version.
func (s *Store) Configure(ctx context.Context, machineID string, change ConfigChange) error {
	tag, err := s.pools.control.Exec(
		ctx,
		`
		UPDATE machines SET enabled = coalesce($2, enabled), polling_interval = coalesce($3, polling_interval),
			tags = coalesce($5, tags), exclude = coalesce($6, exclude), include = coalesce($7, include),
			omit = coalesce($8, omit), config_version = config_version + 1
		WHERE machine_id = $1 AND ($4::bigint = 0 OR config_version = $4)`,
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
	var exists bool
	err = s.pools.control.QueryRow(ctx, `SELECT EXISTS (SELECT FROM machines WHERE machine_id = $1)`, machineID).Scan(&exists)
	if err != nil {
		return fmt.Errorf("look up a machine: %w", err)
	}
	if !exists {
		return snapshot.ErrNoMachine
	}
	return ErrVersionMismatch
}

// Delete deletes a machine. Its history is no longer accessible, and Maintain deletes the rows. If the
// agent still runs, it registers the machine again.
func (s *Store) Delete(ctx context.Context, machineID string) error {
	tag, err := s.pools.control.Exec(ctx, `
		WITH gone AS (DELETE FROM machines WHERE machine_id = $1 RETURNING id)
		INSERT INTO machine_deletions (machine, deleted_at) SELECT id, $2 FROM gone`, machineID, s.cfg.Now())
	if err != nil {
		return fmt.Errorf("delete a machine: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return snapshot.ErrNoMachine
	}
	s.requestMaintenance()
	return nil
}
