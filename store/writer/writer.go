// Package writer stores batches of snapshots. It commits each group of batches in one transaction, and notifies
// listeners of the new snapshots.
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

	"github.com/snapwatch/snapwatch/internal/cachemetrics"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/schema"
)

// Config configures a Writer. All fields except the sizes of caches are required.
type Config struct {
	Pool    *pgxpool.Pool
	Backend backend.Backend
	Logger  *slog.Logger
	// Now is the clock.
	Now func() time.Time
	// Horizon returns the time of the oldest snapshots that retention keeps.
	Horizon func() snapshot.Time
	// RunCacheSize is how many processes the run cache holds. The default is one million, which
	// takes about 100 MB.
	RunCacheSize int
	// TextCacheSize is how many texts of short-lived processes the text cache holds. The default is one million, which
	// takes about 50 MB.
	TextCacheSize int
	// TextHashKey is the secret with which identities and texts of short-lived processes are hashed.
	TextHashKey string
}

const (
	defaultRunCacheSize  = 1_000_000
	defaultTextCacheSize = 1_000_000
)

// Writer stores snapshots. It is safe for concurrent use.
type Writer struct {
	pool     *pgxpool.Pool
	backend  backend.Backend
	logger   *slog.Logger
	now      func() time.Time
	horizon  func() snapshot.Time
	metrics  *metrics
	notifier *notifier
	runs     *runCache
	texts    *textCache
	// textHashKey is that of Config.
	textHashKey string
}

// New returns a Writer, registers its metrics and starts its notifier. Call Close to stop it.
func New(cfg Config, registry prometheus.Registerer) *Writer {
	if cfg.RunCacheSize == 0 {
		cfg.RunCacheSize = defaultRunCacheSize
	}
	if cfg.TextCacheSize == 0 {
		cfg.TextCacheSize = defaultTextCacheSize
	}
	w := &Writer{pool: cfg.Pool, backend: cfg.Backend, logger: cfg.Logger, now: cfg.Now, horizon: cfg.Horizon,
		runs: newRunCache(cfg.RunCacheSize), texts: newTextCache(cfg.TextCacheSize),
		textHashKey: cfg.TextHashKey}
	w.metrics = newMetrics(registry)
	w.runs.metrics = cachemetrics.New(registry, "runs", cfg.RunCacheSize, w.runs.size)
	w.texts.metrics = cachemetrics.New(registry, "texts", cfg.TextCacheSize, w.texts.size)
	w.notifier = newNotifier(cfg.Pool, cfg.Logger, w.metrics)
	return w
}

// Close sends the pending notifications and stops the notifier. Do not call Write after Close.
func (w *Writer) Close() { w.notifier.close() }

// EvictRunsBefore removes the runs that end before ts from the cache. Call it before the rows of
// their processes are deleted.
func (w *Writer) EvictRunsBefore(ts snapshot.Time) { w.runs.dropBefore(ts) }

// Write stores a group of batches and returns a result for each. Acknowledged batches are durable when
// it returns.
//
// Live batches are committed first, so that they do not wait for a lock that late ones need. The batches of a machine
// are committed in order.
//
// An invalid batch does not affect the others. Batches of the same machine that overlap in time are
// committed one after the other, in separate transactions. If the database rejects the data of a
// group, Write retries each batch alone.
//
// Concurrent calls that share a machine wait for each other, in no particular order. To keep the order
// of a machine's batches, write them from one goroutine.
func (w *Writer) Write(ctx context.Context, group []*snapshot.Batch) []snapshot.WriteResult {
	results := make([]snapshot.WriteResult, len(group))
	pending := liveFirst(group, snapshot.TimeOf(w.now()))
	for len(pending) > 0 {
		var selected []int
		selected, pending = nextTransaction(group, pending, snapshot.TimeOf(w.now()))
		w.writeSelected(ctx, group, selected, results)
		if err := results[selected[0]].Err; backend.IsLockTimeout(err) {
			pending = refuseLate(group, pending, results, err, snapshot.TimeOf(w.now()))
		}
	}
	return results
}

// liveFirst returns the indices of a group: first those of live batches, then those of late batches and of all later
// batches of their machines.
func liveFirst(group []*snapshot.Batch, now snapshot.Time) []int {
	order, last := make([]int, 0, len(group)), []int(nil)
	isLast := make(map[string]bool) // by machine
	for i, batch := range group {
		if isLast[batch.MachineID] || batch.IsLate(now) {
			isLast[batch.MachineID] = true
			last = append(last, i)
		} else {
			order = append(order, i)
		}
	}
	return append(order, last...)
}

// refuseLate sets the error of the pending batches with late data and returns the others. They would wait for the same
// lock, one transaction after the other, and live batches would wait behind them.
func refuseLate(
	group []*snapshot.Batch, pending []int, results []snapshot.WriteResult, err error, now snapshot.Time,
) (rest []int) {
	for _, i := range pending {
		if group[i].IsLate(now) {
			results[i] = snapshot.WriteResult{Err: err}
		} else {
			rest = append(rest, i)
		}
	}
	return rest
}

// nextTransaction selects the batches that the next transaction commits, in order. It leaves a batch for
// later if it overlaps with an earlier one of its machine. It also does not mix late data of different
// hours: TimescaleDB records only the first and the last timestamp of a transaction as changed, and
// would refresh all rollups in between.
func nextTransaction(group []*snapshot.Batch, pending []int, now snapshot.Time) (selected, rest []int) {
	newest := make(map[string]snapshot.Time)
	delayed := make(map[string]bool) // machines with an earlier batch in rest
	hour, hasHour := int32(0), false // of the selected batches
	for _, i := range pending {
		batch := group[i]
		last, seen := newest[batch.MachineID]
		if n := len(batch.Snapshots); n > 0 {
			first := batch.Snapshots[0].Timestamp
			batchHour := schema.HourOf(now)
			if batch.IsLate(now) {
				batchHour = schema.HourOf(first)
			}
			if delayed[batch.MachineID] || seen && first <= last || hasHour && batchHour != hour {
				delayed[batch.MachineID] = true
				rest = append(rest, i)
				continue
			}
			hour, hasHour = batchHour, true
			newest[batch.MachineID] = batch.Snapshots[n-1].Timestamp
		}
		selected = append(selected, i)
	}
	return selected, rest
}

// writeSelected commits the selected batches of a group in one transaction and sets their results.
func (w *Writer) writeSelected(
	ctx context.Context, group []*snapshot.Batch, selected []int, results []snapshot.WriteResult,
) {
	batches := make([]*snapshot.Batch, len(selected))
	for k, i := range selected {
		batches[k] = group[i]
	}
	committed, err := w.commit(ctx, batches)
	if err != nil && len(selected) > 1 && isDataError(err) {
		w.logger.Warn("database rejected a group, retrying each batch alone", "batches", len(selected), "err", err)
		for _, i := range selected {
			w.writeSelected(ctx, group, []int{i}, results)
		}
		return
	}
	for k, i := range selected {
		if err != nil {
			results[i] = snapshot.WriteResult{Err: err}
		} else {
			results[i] = committed[k]
		}
	}
}

// isDataError reports whether the data of a batch may have caused the error: SQLSTATE class 22 (data
// exception) or 23 (integrity constraint violation).
func isDataError(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && len(pgErr.Code) == 5 && (pgErr.Code[:2] == "22" || pgErr.Code[:2] == "23")
}

// maxStaleRuns is how often a transaction is repeated because cached runs are stale. A machine has runsPerMachine.
const maxStaleRuns = runsPerMachine + 1

// commit writes batches in one transaction. If cached runs are stale, it reads them from the database. A batch must be
// newer than the batches of the same machine before it.
func (w *Writer) commit(ctx context.Context, batches []*snapshot.Batch) ([]snapshot.WriteResult, error) {
	days, minuteDays := daysOf(batches)
	if err := w.backend.EnsurePartitions(ctx, backend.Series, days); err != nil {
		return nil, err
	}
	if err := w.backend.EnsurePartitions(ctx, []string{backend.ShortLivedMinutes}, minuteDays); err != nil {
		return nil, err
	}
	started := time.Now()
	group, err := w.commitOnce(ctx, batches)
	for range maxStaleRuns {
		if !errors.Is(err, errStaleRun) {
			break
		}
		group, err = w.commitOnce(ctx, batches)
	}
	if err != nil {
		if backend.IsMissingPartition(err) {
			w.backend.InvalidatePartitions()
		}
		return nil, fmt.Errorf("commit a group: %w", err)
	}
	w.metrics.committed(group, time.Since(started))
	group.logCompetitors()
	if group.texts != nil {
		w.texts.put(group.texts.found)
	}
	for ref, day := range group.touched {
		ref.day = max(ref.day, day)
	}
	for machine, run := range group.runs {
		w.runs.put(machine, run)
	}
	w.notifier.add(group.newest)
	return group.results, nil
}

// commitOnce writes batches in one transaction. It returns errStaleRun if a cached run refers to processes that were
// deleted. The run is then no longer cached.
func (w *Writer) commitOnce(ctx context.Context, batches []*snapshot.Batch) (group *groupWrite, err error) {
	err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		now := w.now()
		isAnyLate := func(b *snapshot.Batch) bool { return b.IsLate(snapshot.TimeOf(now)) }
		if slices.ContainsFunc(batches, isAnyLate) {
			if err := shortenLockTimeout(ctx, tx); err != nil {
				return err
			}
		}
		group = &groupWrite{
			writer:  w,
			tx:      tx,
			now:     now,
			runs:    make(map[int32]*run),
			newRefs: make(map[refKey]*processRef),
			touched: make(map[*processRef]int32),
			exits:   make(map[*processRef]snapshot.ExitStatus),
		}
		return group.execute(ctx, batches)
	})
	return group, err
}

// lateLockTimeout is how long late data waits for a lock, for example of a chunk that is being compressed. Other late
// posts wait behind it. The agent retries late data. A transaction has either late or live data.
const lateLockTimeout = "500ms"

// shortenLockTimeout makes a transaction wait for locks no longer than lateLockTimeout.
func shortenLockTimeout(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '`+lateLockTimeout+`'`)
	return err
}

// daysOf returns the days of the snapshots, and those of their minutes, as midnights in UTC. They differ at midnight.
func daysOf(batches []*snapshot.Batch) (days, minuteDays []time.Time) {
	add := func(days []time.Time, at snapshot.Time) []time.Time {
		if day := backend.StartOfDay(at.Std()); !slices.Contains(days, day) {
			return append(days, day)
		}
		return days
	}
	for _, batch := range batches {
		for i := range batch.Snapshots {
			ts := batch.Snapshots[i].Timestamp
			days, minuteDays = add(days, ts), add(minuteDays, minuteOf(ts))
		}
	}
	return days, minuteDays
}
