package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// Range selects the first Limit snapshots of a machine in [From, To].
type Range struct {
	From, To  snapshot.Time
	Limit     int
	Processes bool // whether to include the processes of each snapshot
	// MaxProcesses limits the processes of all snapshots together, so that the size of a page is bounded. If they would
	// be more, fewer than Limit snapshots are selected, but at least one. 0 means no limit.
	MaxProcesses int
}

// Snapshots returns the snapshots of a range, the oldest first. more reports whether the range contains
// more than these.
func (q *Queries) Snapshots(
	ctx context.Context, machineID string, r Range,
) (states []snapshot.State, more bool, err error) {
	defer q.observe("range", time.Now())
	machine, err := q.machineKey(ctx, machineID)
	if err != nil {
		return nil, false, err
	}
	r.From = max(r.From, q.Horizon())
	rows, err := q.readInstants(ctx, machine, rangeSQL, machine, r.From.Std(), r.To.Std(), r.Limit+1)
	if err != nil {
		return nil, false, err
	}
	if more = len(rows) > r.Limit; more {
		rows = rows[:r.Limit]
	}
	states, err = q.complete(ctx, machineID, machine, rows, r.Processes, r.MaxProcesses)
	return states, more || len(states) < len(rows), err
}

// usualGap is the time in which almost every machine has a snapshot.
const usualGap = 2 * time.Hour

// At returns the state of a machine at a time: its last snapshot at or before that. It returns
// snapshot.ErrNoSnapshot if there is none within retention.
func (q *Queries) At(ctx context.Context, machineID string, at snapshot.Time, processes bool) (*snapshot.State, error) {
	defer q.observe("at", time.Now())
	machine, err := q.machineKey(ctx, machineID)
	if err != nil {
		return nil, err
	}
	// Try a short time span first, because planning is slow for one with many chunks.
	horizon := q.Horizon()
	rows, err := q.readInstants(ctx, machine, atSQL, machine, max(horizon, at.Add(-usualGap)).Std(), at.Std())
	if err == nil && len(rows) == 0 {
		rows, err = q.readInstants(ctx, machine, atSQL, machine, horizon.Std(), at.Std())
	}
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, snapshot.ErrNoSnapshot
	}
	states, err := q.complete(ctx, machineID, machine, rows, processes, 0)
	if err != nil {
		return nil, err
	}
	return &states[0], nil
}

// Coverage describes how a snapshot relates to the time that it was requested for.
type Coverage struct {
	// Next is the timestamp of the first snapshot after the requested time, 0 if there is none.
	Next snapshot.Time
	// InGap reports whether the machine recorded nothing at the requested time.
	InGap bool
}

// Coverage returns the coverage of a time at which At returned a state.
//
// The state is valid for two of its intervals and a second, the time after which a machine is stale. If its interval is
// unknown, it is the usual one. A later time is still covered if the next snapshot measured it: its interval
// includes the time, and its CPU usage is known. The first snapshot after a gap may have the gap as its interval, but
// nothing was measured in it.
func (q *Queries) Coverage(ctx context.Context, at snapshot.Time, state *snapshot.State) (Coverage, error) {
	defer q.observe("at", time.Now())
	next, err := q.next(ctx, state.MachineID, at)
	if err != nil {
		return Coverage{}, err
	}
	return q.coverage(ctx, at, state, next)
}

// AtWithCoverage returns what At and Coverage return. It reads the next snapshot at the same time as the state.
func (q *Queries) AtWithCoverage(
	ctx context.Context, machineID string, at snapshot.Time, processes bool,
) (*snapshot.State, Coverage, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next nextSnapshot
	read := make(chan error, 1)
	go func() {
		var err error
		next, err = q.next(ctx, machineID, at)
		read <- err
	}()
	state, err := q.At(ctx, machineID, at, processes)
	if err != nil {
		return nil, Coverage{}, err
	}
	if err := <-read; err != nil {
		return nil, Coverage{}, err
	}
	coverage, err := q.coverage(ctx, at, state, next)
	return state, coverage, err
}

// nextSnapshot is the first snapshot after a time. Its timestamp is 0 if there is none.
type nextSnapshot struct {
	ts         snapshot.Time
	intervalMS int64
	isMeasured bool // whether its CPU usage is known
}

func (q *Queries) next(ctx context.Context, machineID string, at snapshot.Time) (nextSnapshot, error) {
	machine, err := q.machineKey(ctx, machineID)
	if err != nil {
		return nextSnapshot{}, err
	}
	// As in At, try a short time span first.
	for _, until := range []snapshot.Time{at.Add(usualGap), snapshot.TimeOf(q.now()).Add(snapshot.MaxClockSkew)} {
		if until <= at {
			break
		}
		var one nextSnapshot
		var ts time.Time
		err := q.pool.QueryRow(ctx, nextSQL, machine, at.Std(), until.Std()).Scan(&ts, &one.intervalMS, &one.isMeasured)
		if err == nil {
			one.ts = snapshot.TimeOf(ts)
			return one, nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return nextSnapshot{}, fmt.Errorf("read the next snapshot of machine %d: %w", machine, err)
		}
	}
	return nextSnapshot{}, nil
}

func (q *Queries) coverage(
	ctx context.Context, at snapshot.Time, state *snapshot.State, next nextSnapshot,
) (Coverage, error) {
	interval := time.Duration(state.IntervalMS) * time.Millisecond
	if interval == 0 {
		machine, err := q.machineKey(ctx, state.MachineID)
		if err != nil {
			return Coverage{}, err
		}
		if interval, err = q.usualInterval(ctx, machine, state.Timestamp); err != nil {
			return Coverage{}, err
		}
	}
	isValid := at.Sub(state.Timestamp) <= 2*min(interval, longestInterval)+time.Second
	isCovered := next.ts != 0 && next.isMeasured && next.ts.Sub(at) <= time.Duration(next.intervalMS)*time.Millisecond
	return Coverage{Next: next.ts, InGap: !isValid && !isCovered}, nil
}

// usualInterval returns the usual interval of a machine's snapshots around one whose interval is unknown. It is the
// shortest one of the two snapshots before it and the two after it, or else the shortest time between them. It is at
// least the machine's polling interval.
func (q *Queries) usualInterval(ctx context.Context, machine int32, ts snapshot.Time) (time.Duration, error) {
	rows, err := q.pool.Query(ctx, aroundSQL, machine, ts.Std(), ts.Add(-usualGap).Std(), ts.Add(usualGap).Std())
	if err != nil {
		return 0, fmt.Errorf("read the snapshots around one of machine %d: %w", machine, err)
	}
	var polling float64
	var at, before *time.Time
	var intervalMS *int64
	interval, spacing := longestInterval, longestInterval
	isKnown := false
	if _, err := pgx.ForEachRow(rows, []any{&polling, &at, &intervalMS}, func() error {
		if intervalMS != nil && *intervalMS > 0 {
			interval, isKnown = min(interval, time.Duration(*intervalMS)*time.Millisecond), true
		}
		if at != nil && before != nil {
			spacing = min(spacing, at.Sub(*before))
		}
		before = at
		return nil
	}); err != nil {
		return 0, fmt.Errorf("read the snapshots around one of machine %d: %w", machine, err)
	}
	usual := time.Duration(polling * float64(time.Second))
	switch {
	case isKnown:
		usual = max(usual, interval)
	case spacing < longestInterval:
		usual = max(usual, spacing)
	}
	return usual, nil
}

// longestInterval is the longest polling interval. A longer interval of a snapshot is the length of a gap.
const longestInterval = time.Duration(snapshot.MaxPollingInterval * float64(time.Second))

// After returns the last limit snapshots of a machine that are newer than after, the oldest first, with
// their processes. The live view uses it to catch up.
func (q *Queries) After(
	ctx context.Context, machineID string, after snapshot.Time, limit int,
) ([]snapshot.State, error) {
	defer q.observe("after", time.Now())
	machine, err := q.machineKey(ctx, machineID)
	if err != nil {
		return nil, err
	}
	rows, err := q.readInstants(ctx, machine, afterSQL, machine, max(after, q.Horizon()).Std(), limit)
	if err != nil {
		return nil, err
	}
	return q.complete(ctx, machineID, machine, rows, true, 0)
}

var (
	selectSnapshots = `SELECT ` + schema.SnapshotColumns + `, coalesce(short_lived, 0), short_lived_cpu_us,
			coalesce(short_lived_unknown_cpu, 0)
		FROM snapshots WHERE machine = $1`
	rangeSQL = selectSnapshots + ` AND ts BETWEEN $2 AND $3 ORDER BY ts LIMIT $4`
	nextSQL  = `SELECT ts, interval_ms, cpu_usage IS NOT NULL FROM snapshots
		WHERE machine = $1 AND ts > $2 AND ts <= $3 ORDER BY ts LIMIT 1`
	aroundSQL = `SELECT m.polling_interval, s.ts, s.interval_ms FROM machines m LEFT JOIN (
			(SELECT ts, interval_ms FROM snapshots WHERE machine = $1 AND ts <= $2 AND ts >= $3 ORDER BY ts DESC LIMIT 3)
			UNION ALL
			(SELECT ts, interval_ms FROM snapshots WHERE machine = $1 AND ts > $2 AND ts <= $4 ORDER BY ts LIMIT 2)) s ON true
		WHERE m.id = $1 ORDER BY s.ts`
	beforeSQL = `SELECT ts, full_ts FROM snapshots WHERE machine = $1 AND ts >= $2 AND ts < $3 ORDER BY ts DESC LIMIT 1`
	atSQL     = selectSnapshots + ` AND ts BETWEEN $2 AND $3 ORDER BY ts DESC LIMIT 1`
	afterSQL  = `SELECT * FROM (` + selectSnapshots + ` AND ts > $2 ORDER BY ts DESC LIMIT $3) newest ORDER BY ts`
)

const (
	samplesSQL = `SELECT ts, process, ` + schema.ValueColumns + `
		FROM process_samples WHERE machine = $1 AND ts BETWEEN $2 AND $3 ORDER BY ts`
	identitiesSQL = `SELECT id, pid, started_at, ` + schema.IdentityColumns + ` FROM processes WHERE id = ANY($1)`
)

// instant is a row of snapshots.
type instant struct {
	ts, fullTS snapshot.Time
	intervalMS int64
	metrics    snapshot.MachineSnapshot
	shortLived snapshot.EndedProcesses // which have no samples
}

func (q *Queries) readInstants(ctx context.Context, machine int32, sql string, args ...any) ([]instant, error) {
	rows, err := q.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read snapshots of machine %d: %w", machine, err)
	}
	instants, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (instant, error) {
		var stored schema.Snapshot
		var ended snapshot.EndedProcesses
		if err := row.Scan(append(stored.Dest(), &ended.Processes, &ended.CPUTime, &ended.Unknown)...); err != nil {
			return instant{}, err
		}
		metrics, err := stored.Metrics()
		return instant{
			ts: snapshot.TimeOf(stored.Timestamp), fullTS: snapshot.TimeOf(stored.FullTS),
			intervalMS: stored.IntervalMS, metrics: metrics, shortLived: ended,
		}, err
	})
	if err != nil {
		return nil, fmt.Errorf("read snapshots of machine %d: %w", machine, err)
	}
	return instants, nil
}

// complete adds devices and optionally processes to instants, which are in order of time. If maxProcesses is not 0 and
// all have more processes together, it leaves out the last instants, but never the first one.
func (q *Queries) complete(
	ctx context.Context, machineID string, machine int32, instants []instant, processes bool, maxProcesses int,
) ([]snapshot.State, error) {
	states := make([]snapshot.State, len(instants))
	if len(instants) == 0 {
		return states, nil
	}
	index := make(map[snapshot.Time]*snapshot.MachineSnapshot, len(instants))
	for i, at := range instants {
		kind := snapshot.KindChanges
		if at.fullTS == at.ts {
			kind = snapshot.KindFull
		}
		states[i] = snapshot.State{
			MachineID:  machineID,
			Timestamp:  at.ts,
			Kind:       kind,
			IntervalMS: at.intervalMS,
			Machine:    at.metrics,
		}
		index[at.ts] = &states[i].Machine
	}
	low, high := instants[0], instants[len(instants)-1]
	if err := q.readDevices(ctx, machine, low.ts, high.ts, index); err != nil {
		return nil, err
	}
	if !processes {
		return states, nil
	}
	skip := 0 // instants that are only read to know which processes ended
	if low.fullTS == low.ts {
		before, err := q.instantBefore(ctx, machine, low.ts)
		if err != nil {
			return nil, err
		}
		skip, instants = len(before), append(before, instants...)
	}
	samples, end, err := q.readSamples(ctx, machine, instants[0].fullTS, low.ts, high.ts, maxProcesses)
	if err != nil {
		return nil, err
	}
	if end != 0 {
		instants = slices.DeleteFunc(instants, func(at instant) bool { return at.ts >= end })
	}
	identities, err := q.readIdentities(ctx, samples)
	if err != nil {
		return nil, err
	}
	lists, ended := replay(instants, samples, identities, skip, maxProcesses)
	states = states[:len(lists)-skip]
	for i := range states {
		states[i].Processes, states[i].Ended = lists[skip+i], &ended[skip+i]
		states[i].DeriveCPUUsage()
	}
	return states, nil
}

// instantBefore returns the last instant before a time, without its metrics, or none.
func (q *Queries) instantBefore(ctx context.Context, machine int32, ts snapshot.Time) ([]instant, error) {
	horizon := q.Horizon()
	// As in At, try a short time span first.
	for _, from := range []snapshot.Time{max(horizon, ts.Add(-usualGap)), horizon} {
		var at, full time.Time
		err := q.pool.QueryRow(ctx, beforeSQL, machine, from.Std(), ts.Std()).Scan(&at, &full)
		if err == nil {
			return []instant{{ts: snapshot.TimeOf(at), fullTS: snapshot.TimeOf(full)}}, nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return nil, fmt.Errorf("read the snapshot before one of machine %d: %w", machine, err)
		}
	}
	return nil, nil
}

// readDevices adds the devices of the time span to the snapshots in index.
func (q *Queries) readDevices(
	ctx context.Context, machine int32, from, to snapshot.Time, index map[snapshot.Time]*snapshot.MachineSnapshot,
) error {
	batch := &pgx.Batch{}
	disks := batch.Queue(schema.Disks.SelectSQL, machine, from.Std(), to.Std())
	disks.Query(scanDevices(schema.Disks, index, func(m *snapshot.MachineSnapshot, disk snapshot.Disk) {
		m.Disks = append(m.Disks, disk)
	}))
	interfaces := batch.Queue(schema.Interfaces.SelectSQL, machine, from.Std(), to.Std())
	interfaces.Query(scanDevices(schema.Interfaces, index, func(m *snapshot.MachineSnapshot, one snapshot.Interface) {
		m.Interfaces = append(m.Interfaces, one)
	}))
	if err := q.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("read devices of machine %d: %w", machine, err)
	}
	return nil
}

func scanDevices[D any](
	table *schema.DeviceTable[D], index map[snapshot.Time]*snapshot.MachineSnapshot,
	add func(*snapshot.MachineSnapshot, D),
) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var row schema.DeviceRow[D]
		_, err := pgx.ForEachRow(rows, table.Dest(&row), func() error {
			if m := index[snapshot.TimeOf(row.Timestamp)]; m != nil {
				add(m, row.Device)
			}
			return nil
		})
		return err
	}
}
