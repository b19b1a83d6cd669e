// Package writer stores batches of snapshots. It commits groups of batches in one transaction each,
// and notifies listeners of what it committed.
package writer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/schema"
)

// Config is what a Writer needs. All fields but RunCacheSize are required.
type Config struct {
	Pool    *pgxpool.Pool
	Backend backend.Backend
	Logger  *slog.Logger
	// Now is the clock.
	Now func() time.Time
	// RunCacheSize is how many processes the run cache holds. The default is one million, which
	// takes about 100 MB.
	RunCacheSize int
}

const defaultRunCacheSize = 1_000_000

// Writer stores snapshots. It is safe for concurrent use.
type Writer struct {
	pool     *pgxpool.Pool
	backend  backend.Backend
	logger   *slog.Logger
	now      func() time.Time
	metrics  *metrics
	notifier *notifier
	runs     *runCache
}

// New returns a Writer, registers its metrics and starts its notifier. Call Close to stop it.
func New(cfg Config, registry prometheus.Registerer) *Writer {
	if cfg.RunCacheSize == 0 {
		cfg.RunCacheSize = defaultRunCacheSize
	}
	w := &Writer{pool: cfg.Pool, backend: cfg.Backend, logger: cfg.Logger, now: cfg.Now,
		metrics: newMetrics(registry), runs: newRunCache(cfg.RunCacheSize)}
	w.notifier = newNotifier(cfg.Pool, cfg.Logger, w.metrics)
	return w
}

// Close sends the pending notifications and stops the notifier. No Write may follow.
func (w *Writer) Close() { w.notifier.close() }

// EvictRunsBefore removes the runs that end before ts from the cache. Call it before the rows of
// their processes are deleted.
func (w *Writer) EvictRunsBefore(ts snapshot.Time) { w.runs.dropBefore(ts) }

// Write commits a group of batches and returns an outcome for each. When it
// returns, everything acknowledged is durable.
//
// A batch with a fault does not touch the others. A batch that overlaps in time
// with an earlier one of the same machine in the group is committed after it, in
// a further transaction, so that it sees what the first has stored. If the
// database refuses the data of a group, each batch is tried alone.
//
// Write may be called concurrently. Groups that share a machine take turns by the
// lock on its row, but in no order: whoever needs one keeps a machine's batches to
// one caller.
func (w *Writer) Write(ctx context.Context, group []*snapshot.Batch) []snapshot.WriteResult {
	outcomes := make([]snapshot.WriteResult, len(group))
	pending := make([]int, len(group))
	for i := range pending {
		pending[i] = i
	}
	for len(pending) > 0 {
		var wave []int
		wave, pending = nextWave(group, pending, snapshot.TimeOf(w.now()))
		w.writeWave(ctx, group, wave, outcomes)
	}
	return outcomes
}

// liveSpan is how old data may be to be committed together with the newest.
const liveSpan = 2 * time.Hour

// nextWave picks, in order, the batches that continue their machine's newest
// batch in the wave, and leaves the others for later. A wave is of one age: late
// data of an hour is not mixed with other hours', because TimescaleDB notes only
// the first and the last instant of a transaction as changed, and would make all
// rollups in between anew.
func nextWave(group []*snapshot.Batch, pending []int, now snapshot.Time) (wave, rest []int) {
	newest := make(map[string]snapshot.Time)
	held := make(map[string]bool) // machines of which an earlier batch already waits
	age, aged := int32(0), false  // of the wave
	for _, i := range pending {
		batch := group[i]
		last, seen := newest[batch.MachineID]
		if n := len(batch.Snapshots); n > 0 {
			first := batch.Snapshots[0].Timestamp
			hour := schema.HourOf(now)
			if first < now.Add(-liveSpan) {
				hour = schema.HourOf(first)
			}
			if held[batch.MachineID] || seen && first <= last || aged && hour != age {
				held[batch.MachineID] = true
				rest = append(rest, i)
				continue
			}
			age, aged = hour, true
			newest[batch.MachineID] = batch.Snapshots[n-1].Timestamp
		}
		wave = append(wave, i)
	}
	return wave, rest
}

func (w *Writer) writeWave(ctx context.Context, group []*snapshot.Batch, wave []int, outcomes []snapshot.WriteResult) {
	batches := make([]*snapshot.Batch, len(wave))
	for k, i := range wave {
		batches[k] = group[i]
	}
	results, err := w.commit(ctx, batches)
	if err != nil && len(wave) > 1 && isDataError(err) {
		w.logger.Warn("a group was refused, trying each batch alone", "batches", len(wave), "err", err)
		for _, i := range wave {
			w.writeWave(ctx, group, []int{i}, outcomes)
		}
		return
	}
	for k, i := range wave {
		if err != nil {
			outcomes[i] = snapshot.WriteResult{Err: err}
		} else {
			outcomes[i] = results[k]
		}
	}
}

// isDataError reports an error that the data of one batch may have caused:
// SQLSTATE class 22 (data exception) or 23 (integrity violation).
func isDataError(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && len(pgErr.Code) == 5 && (pgErr.Code[:2] == "22" || pgErr.Code[:2] == "23")
}

// commit writes batches of which each continues the one before of its machine.
func (w *Writer) commit(ctx context.Context, batches []*snapshot.Batch) ([]snapshot.WriteResult, error) {
	if err := w.backend.EnsurePartitions(ctx, daysOf(batches)); err != nil {
		return nil, err
	}
	started := time.Now()
	var group *groupWrite
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		group = &groupWrite{
			writer:  w,
			tx:      tx,
			now:     w.now(),
			runs:    make(map[int32]*run),
			newRefs: make(map[refKey]*processRef),
			touched: make(map[*processRef]int32),
		}
		return group.execute(ctx, batches)
	})
	if err != nil {
		if backend.IsMissingPartition(err) {
			w.backend.InvalidatePartitions()
		}
		return nil, fmt.Errorf("commit a group: %w", err)
	}
	w.metrics.committed(group, time.Since(started))
	for ref, day := range group.touched {
		ref.day = max(ref.day, day)
	}
	keys := make([]key, 0, len(group.newest))
	for machine, run := range group.runs {
		w.runs.put(machine, run)
	}
	for machineID, ts := range group.newest {
		keys = append(keys, key{machineID, ts})
	}
	w.notifier.add(keys)
	return group.outcomes, nil
}

func daysOf(batches []*snapshot.Batch) []time.Time {
	var days []time.Time
	for _, batch := range batches {
		for i := range batch.Snapshots {
			day := backend.StartOfDay(batch.Snapshots[i].Timestamp.Std())
			if !slices.Contains(days, day) {
				days = append(days, day)
			}
		}
	}
	return days
}
