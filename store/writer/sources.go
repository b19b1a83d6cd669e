package writer

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// trackSources records which agent posts as each machine. One agent after another is normal: a machine reboots, or its
// agent restarts. If an agent posts again after another one has, both run, and their state directory was copied.
func (w *groupWrite) trackSources(ctx context.Context, batches []*snapshot.Batch) error {
	for _, batch := range batches {
		machine, key := w.machines[batch.MachineID], batch.Source.Key()
		if key == "" { // not an agent, or an old one
			continue
		}
		if key != machine.source {
			if err := w.changeSource(ctx, machine, batch.Source); err != nil {
				return fmt.Errorf("record the agent of a machine: %w", err)
			}
		}
	}
	for _, machine := range w.machines {
		if schema.HaveTurns(machine.turns, machine.turnedAt, machine.config.PollingInterval, w.now) {
			if err := w.loadCompetitors(ctx, machine); err != nil {
				return fmt.Errorf("look up the agents of a machine: %w", err)
			}
		}
	}
	return nil
}

// maxSources bounds the agents that are stored for a machine. Each start of an agent is one.
const maxSources = 16

// changeSource records that another agent posts as a machine.
func (w *groupWrite) changeSource(ctx context.Context, machine *machineRow, source snapshot.Source) error {
	key := source.Key()
	if _, err := w.tx.Exec(ctx, `UPDATE machine_sources SET last_seen = $3 WHERE machine = $1 AND source = $2`,
		machine.id, machine.source, machine.lastSeen); err != nil {
		return err
	}
	var returned bool
	err := w.tx.QueryRow(ctx, `
		INSERT INTO machine_sources (machine, source, run_id, boot_id, hostname, first_seen, last_seen)
		VALUES ($1, $2, $3, $4, $5, $6, $6)
		ON CONFLICT (machine, source) DO UPDATE SET hostname = $5, last_seen = $6
		RETURNING xmax <> 0`, // xmax is 0 if the row was inserted
		machine.id, key, source.RunID, source.BootID, source.Hostname, w.now).Scan(&returned)
	if err != nil {
		return err
	}
	machine.source, machine.lastSeen = key, w.now
	if !returned {
		if _, err := w.tx.Exec(ctx, `DELETE FROM machine_sources WHERE machine = $1 AND source NOT IN (
			SELECT source FROM machine_sources WHERE machine = $1 ORDER BY last_seen DESC, first_seen DESC LIMIT $2)`,
			machine.id, maxSources); err != nil {
			return err
		}
	} else {
		w.turns++
		machine.turns++
		gap := schema.TurnGap(machine.config.PollingInterval)
		if machine.turnedAt == nil || w.now.Sub(*machine.turnedAt) > gap {
			machine.turns, machine.turnsSince = 1, &w.now
		}
		machine.turnedAt = &w.now
		machine.startsToCompete = machine.startsToCompete || machine.turns == schema.MinTurns
	}
	_, err = w.tx.Exec(ctx,
		`UPDATE machines SET source = $2, turns = $3, turns_since = $4, turned_at = $5 WHERE id = $1`,
		machine.id, machine.source, machine.turns, machine.turnsSince, machine.turnedAt)
	return err
}

// loadCompetitors loads the agents that report as a machine in turns.
func (w *groupWrite) loadCompetitors(ctx context.Context, machine *machineRow) error {
	rows, err := w.tx.Query(ctx, `SELECT run_id, boot_id, hostname FROM machine_sources
		WHERE machine = $1 AND last_seen >= $2 ORDER BY hostname, first_seen, source`, machine.id, machine.turnsSince)
	if err != nil {
		return err
	}
	sources, err := pgx.CollectRows(rows, pgx.RowToStructByPos[snapshot.Source])
	machine.competitors = snapshot.SourceNames(sources)
	return err
}

// logCompetitors logs the machines for which several agents have started to report in turns.
func (w *groupWrite) logCompetitors() {
	for _, machine := range w.machines {
		if machine.startsToCompete {
			w.writer.logger.Warn("several agents report as one machine in turns, so their snapshots are mixed: their "+
				"state directory was copied; on the copy, stop the agent, empty its state directory and start it "+
				"with an enrolment key", "machine_id", machine.machineID, "hosts", machine.competitors)
		}
	}
}
