package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// lockMachines locks the rows of the group's machines until the commit, and inserts missing rows. The
// locks keep other servers from changing what the planner reads. All transactions lock in the same
// order, to avoid deadlocks.
func (w *groupWrite) lockMachines(ctx context.Context, batches []*snapshot.Batch) error {
	w.machines = make(map[string]*machineRow, len(batches))
	w.newest = make(map[string]snapshot.Time, len(batches))
	var ids []string
	for _, batch := range batches {
		ids = append(ids, batch.MachineID)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for range 3 { // a row may be deleted between the insert and the lock
		if err := w.selectMachines(ctx, ids); err != nil {
			return fmt.Errorf("lock machines: %w", err)
		}
		if len(w.machines) == len(ids) {
			return nil
		}
		if _, err := w.tx.Exec(ctx, `
			INSERT INTO machines (machine_id, registered_at, last_seen)
			SELECT id, $2, $2 FROM unnest($1::text[]) id ORDER BY id
			ON CONFLICT (machine_id) DO NOTHING`, ids, w.now); err != nil {
			return fmt.Errorf("insert machines: %w", err)
		}
	}
	return errors.New("lock machines: rows were deleted three times in a row after they were inserted")
}

func (w *groupWrite) selectMachines(ctx context.Context, ids []string) error {
	rows, err := w.tx.Query(ctx, `
		SELECT id, machine_id, last_snapshot, closed_snapshot, cpu_count, enabled, polling_interval,
			include, exclude, omit, config_version, hostname = '', agent_version <> '', last_seen, source, turns,
			turns_since, turned_at
		FROM machines WHERE machine_id = ANY($1) ORDER BY machine_id FOR NO KEY UPDATE`, ids)
	if err != nil {
		return err
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		machine := &machineRow{}
		var last, closed *time.Time
		config := &machine.config
		err := row.Scan(
			&machine.id, &machine.machineID, &last, &closed, &machine.cpuCount, &config.Enabled,
			&config.PollingInterval, &config.Include, &config.Exclude, &config.Omit, &machine.configVersion,
			&machine.unregistered, &machine.hasAgent, &machine.lastSeen, &machine.source, &machine.turns,
			&machine.turnsSince, &machine.turnedAt,
		)
		if closed != nil {
			machine.closedSnapshot = snapshot.TimeOf(*closed)
		}
		if last != nil {
			machine.lastSnapshot = snapshot.TimeOf(*last)
		}
		w.machines[machine.machineID] = machine
		return struct{}{}, err
	})
	return err
}

// maxInterval is the longest interval of a snapshot.
const maxInterval = snapshot.MaxIntervalMS * time.Millisecond

// neighbours looks up the stored snapshots around late or duplicate snapshots of a batch: those that are not newer than
// the machine's last snapshot. It looks a day back and a day ahead, which is the longest interval. The statement
// repeats the overall time span and is planned with it, because the plan would otherwise include all partitions.
func (w *groupWrite) neighbours(
	ctx context.Context, machine *machineRow, batch *snapshot.Batch,
) (map[snapshot.Time]neighbour, error) {
	var late []time.Time
	for i := range batch.Snapshots {
		if ts := batch.Snapshots[i].Timestamp; ts <= machine.lastSnapshot {
			late = append(late, ts.Std())
		}
	}
	if len(late) == 0 {
		return nil, nil
	}
	rows, err := w.tx.Query(
		ctx,
		`
		SELECT t.ts, e.ts IS NOT NULL, before.ts, before.full_ts, after.full_ts, measured.ts, measured.interval_ms
		FROM unnest($2::timestamptz[]) t(ts)
		LEFT JOIN LATERAL (SELECT ts FROM snapshots WHERE machine = $1 AND ts = t.ts AND ts BETWEEN $4 AND $5) e ON true
		LEFT JOIN LATERAL (SELECT ts, full_ts FROM snapshots WHERE machine = $1 AND ts < t.ts AND ts >= t.ts - interval '1 day' AND ts BETWEEN $4 AND $5 ORDER BY ts DESC LIMIT 1) before ON true
		LEFT JOIN LATERAL (SELECT full_ts FROM snapshots WHERE machine = $1 AND ts > t.ts AND ts <= t.ts + $3::interval AND ts BETWEEN $4 AND $5 ORDER BY ts LIMIT 1) after ON true
		LEFT JOIN LATERAL (SELECT ts, interval_ms FROM snapshots WHERE machine = $1 AND interval_ms > 0 AND ts > t.ts AND ts <= t.ts + $3::interval AND ts BETWEEN $4 AND $5 ORDER BY ts LIMIT 1) measured ON true`,
		pgx.QueryExecModeExec,
		machine.id,
		late,
		pgtype.Interval{Microseconds: maxInterval.Microseconds(), Valid: true},
		slices.MinFunc(late, time.Time.Compare).Add(-24*time.Hour),
		slices.MaxFunc(late, time.Time.Compare).Add(maxInterval),
	)
	if err != nil {
		return nil, fmt.Errorf("look up the neighbours of late snapshots: %w", err)
	}
	found := make(map[snapshot.Time]neighbour, len(late))
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var at time.Time
		var n neighbour
		var before, beforeFull, afterFull, measured pgtype.Timestamptz
		var interval *int64
		err := row.Scan(&at, &n.exists, &before, &beforeFull, &afterFull, &measured, &interval)
		n.ofAgent = machine.hasAgent
		n.before, n.beforeFull = snapshot.TimeOf(before.Time), snapshot.TimeOf(beforeFull.Time)
		n.afterFull, n.measured = snapshot.TimeOf(afterFull.Time), snapshot.TimeOf(measured.Time)
		if interval != nil {
			n.measuredIntervalMS = *interval
		}
		found[snapshot.TimeOf(at)] = n
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("look up the neighbours of late snapshots: %w", err)
	}
	return found, nil
}

// fullOf returns the full snapshot of a stored snapshot's run, or 0 if the snapshot does not exist.
func (w *groupWrite) fullOf(ctx context.Context, machine int32, ts snapshot.Time) (snapshot.Time, error) {
	var full time.Time
	err := w.tx.QueryRow(ctx, `SELECT full_ts FROM snapshots WHERE machine = $1 AND ts = $2`, machine, ts.Std()).
		Scan(&full)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look up a full snapshot: %w", err)
	}
	return snapshot.TimeOf(full), nil
}

// loadSpacings loads the spacings of a run that are missing.
func (w *groupWrite) loadSpacings(ctx context.Context, machine int32, r *run) error {
	known := 0
	at := r.ts
	for ; known < len(r.spacings) && r.spacings[known] > 0; known++ {
		at -= snapshot.Time(r.spacings[known])
	}
	if known == len(r.spacings) {
		return nil
	}
	rows, err := w.tx.Query(
		ctx,
		`SELECT ts FROM snapshots WHERE machine = $1 AND ts < $2 AND ts >= $3 ORDER BY ts DESC LIMIT $4`,
		pgx.QueryExecModeExec, machine, at.Std(), at.Std().Add(-maxInterval), len(r.spacings)-known,
	)
	if err != nil {
		return fmt.Errorf("look up the snapshots before a run: %w", err)
	}
	var earlier time.Time
	if _, err := pgx.ForEachRow(rows, []any{&earlier}, func() error {
		r.spacings[known] = int64(at - snapshot.TimeOf(earlier))
		at, known = snapshot.TimeOf(earlier), known+1
		return nil
	}); err != nil {
		return fmt.Errorf("look up the snapshots before a run: %w", err)
	}
	return nil
}

// loadLastUsage loads lastUsage of a run if it is not loaded. It looks back to a time.
func (w *groupWrite) loadLastUsage(ctx context.Context, machine int32, r *run, since snapshot.Time) error {
	if r.usageLoaded {
		return nil
	}
	var last pgtype.Timestamptz
	err := w.tx.QueryRow(ctx, `SELECT greatest(
		(SELECT max(ts) FROM snapshots WHERE machine = $1 AND ts BETWEEN $2 AND $3 AND (cpu_usage IS NOT NULL
			OR coalesce(read_bytes, write_bytes, received_bytes, sent_bytes) IS NOT NULL)),
		(SELECT max(ts) FROM process_samples WHERE machine = $1 AND ts BETWEEN $2 AND $3
			AND coalesce(cpu_us, cpu_ms, read_bytes, write_bytes) IS NOT NULL))`,
		machine, since.Std(), r.ts.Std()).Scan(&last)
	if err != nil {
		return fmt.Errorf("look up the last usage of a machine: %w", err)
	}
	r.lastUsage, r.usageLoaded = snapshot.TimeOf(last.Time), true
	return nil
}

// loadRun reads a run that is not in the cache. OFFSET 0 keeps the planner from hashing the whole table processes for a
// few hundred rows.
func (w *groupWrite) loadRun(
	ctx context.Context, machine int32, fullTS, ts snapshot.Time,
) (*run, error) {
	loaded := &run{ts: ts, fullTS: fullTS}
	elapsed := make(map[snapshot.Time]int64)
	rows, err := w.tx.Query(ctx, `SELECT ts, interval_ms FROM snapshots
		WHERE machine = $1 AND ts BETWEEN $2 AND $3 ORDER BY ts`, machine, fullTS.Std(), ts.Std())
	if err != nil {
		return nil, fmt.Errorf("load the intervals of a run: %w", err)
	}
	var at time.Time
	var interval int64
	if _, err := pgx.ForEachRow(rows, []any{&at, &interval}, func() error {
		loaded.elapsedMS += interval
		elapsed[snapshot.TimeOf(at)] = loaded.elapsedMS
		return nil
	}); err != nil {
		return nil, fmt.Errorf("load the intervals of a run: %w", err)
	}
	rows, err = w.tx.Query(ctx, `
		SELECT s.ts, p.pid, p.started_at, p.id, p.identity, p.last_day, `+schema.ValueColumns+`
		FROM process_samples s CROSS JOIN LATERAL (SELECT pid, started_at, id, identity, last_day FROM processes WHERE id = s.process OFFSET 0) p
		WHERE s.machine = $1 AND s.ts BETWEEN $2 AND $3 ORDER BY s.ts`, machine, fullTS.Std(), ts.Std())
	if err != nil {
		return nil, fmt.Errorf("load a machine's processes: %w", err)
	}
	loaded.processes = make(map[snapshot.ProcessKey]runningProcess)
	var pid int32
	var id, identity int64
	var started pgtype.Timestamptz
	var day time.Time
	var values snapshot.Values
	dest := append([]any{&at, &pid, &started, &id, &identity, &day}, schema.ValuesDest(&values)...)
	_, err = pgx.ForEachRow(rows, dest, func() error {
		key := snapshot.ProcessKey{PID: pid, StartedAt: snapshot.TimeOf(started.Time)}
		if schema.IsGone(values.State) {
			delete(loaded.processes, key)
			return nil
		}
		ref := &processRef{id: id, identity: identity, day: int32(day.Unix() / 86400)}
		loaded.processes[key] = runningProcess{
			ref: ref, gauges: schema.GaugesOf(&values), atMS: elapsed[snapshot.TimeOf(at)],
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load a machine's processes: %w", err)
	}
	return loaded, nil
}

// updateMachines updates last_seen and last_snapshot of the machines.
func (w *groupWrite) updateMachines(ctx context.Context) error {
	ids := make([]int32, 0, len(w.machines))
	newest := make([]*time.Time, 0, len(w.machines))
	for machineID, machine := range w.machines {
		ids = append(ids, machine.id)
		if ts, ok := w.newest[machineID]; ok {
			at := ts.Std()
			newest = append(newest, &at)
		} else {
			newest = append(newest, nil)
		}
	}
	if _, err := w.tx.Exec(ctx, `
		UPDATE machines m SET last_seen = $3, last_snapshot = greatest(m.last_snapshot, u.ts)
		FROM unnest($1::integer[], $2::timestamptz[]) u(id, ts) WHERE m.id = u.id`, ids, newest, w.now); err != nil {
		return fmt.Errorf("update machines: %w", err)
	}
	return nil
}
