package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/snapwatch/snapwatch/snapshot"
)

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
func (s *Store) Write(ctx context.Context, group []*snapshot.Batch) []snapshot.WriteResult {
	outcomes := make([]snapshot.WriteResult, len(group))
	pending := make([]int, len(group))
	for i := range pending {
		pending[i] = i
	}
	for len(pending) > 0 {
		var wave []int
		wave, pending = nextWave(group, pending, snapshot.TimeOf(s.cfg.Now()))
		s.writeWave(ctx, group, wave, outcomes)
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
			hour := hourOf(now)
			if first < now.Add(-liveSpan) {
				hour = hourOf(first)
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

func (s *Store) writeWave(ctx context.Context, group []*snapshot.Batch, wave []int, outcomes []snapshot.WriteResult) {
	batches := make([]*snapshot.Batch, len(wave))
	for k, i := range wave {
		batches[k] = group[i]
	}
	results, err := s.commit(ctx, batches)
	if err != nil && len(wave) > 1 && isDataError(err) {
		s.logger.Warn("a group was refused, trying each batch alone", "batches", len(wave), "err", err)
		for _, i := range wave {
			s.writeWave(ctx, group, []int{i}, outcomes)
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
func (s *Store) commit(ctx context.Context, batches []*snapshot.Batch) ([]snapshot.WriteResult, error) {
	if err := s.profile.ensure(ctx, daysOf(batches)); err != nil {
		return nil, err
	}
	started := time.Now()
	var w *groupWrite
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		w = &groupWrite{
			store:   s,
			tx:      tx,
			now:     s.cfg.Now(),
			chains:  make(map[int32]*chain),
			newRefs: make(map[refKey]*processRef),
			touched: make(map[*processRef]int32),
		}
		return w.run(ctx, batches)
	})
	if err != nil {
		if isMissingPartition(err) {
			s.profile.reset()
		}
		return nil, fmt.Errorf("commit a group: %w", err)
	}
	s.metrics.committed(w, time.Since(started))
	for ref, day := range w.touched {
		ref.day = max(ref.day, day)
	}
	keys := make([]key, 0, len(w.newest))
	for machine, chain := range w.chains {
		s.chains.put(machine, chain)
	}
	for machineID, ts := range w.newest {
		keys = append(keys, key{machineID, ts})
	}
	s.notify.add(keys)
	return w.outcomes, nil
}

func daysOf(batches []*snapshot.Batch) []time.Time {
	var days []time.Time
	for _, batch := range batches {
		for i := range batch.Snapshots {
			day := midnight(batch.Snapshots[i].Timestamp.Std())
			if !slices.Contains(days, day) {
				days = append(days, day)
			}
		}
	}
	return days
}
