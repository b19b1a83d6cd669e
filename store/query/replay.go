package query

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

// sample is a row of process_samples.
type sample struct {
	ts      snapshot.Time
	process int64
	values  snapshot.Values
}

// identityRow is a row of processes.
type identityRow struct {
	key      snapshot.ProcessKey
	identity snapshot.Identity
}

// errEnoughSamples ends the reading of samples.
var errEnoughSamples = errors.New("enough samples")

// readSamples reads the samples of a machine in [from, to], in order of time. If limit is not 0 and more than limit of
// them are after first, it returns those before end. Otherwise, end is 0.
func (q *Queries) readSamples(
	ctx context.Context, machine int32, from, first, to snapshot.Time, limit int,
) (samples []sample, end snapshot.Time, err error) {
	rows, err := q.pool.Query(ctx, samplesSQL, machine, from.Std(), to.Std())
	if err != nil {
		return nil, 0, fmt.Errorf("read samples of machine %d: %w", machine, err)
	}
	after := 0 // number of samples after first
	var ts time.Time
	var one sample
	dest := append([]any{&ts, &one.process}, schema.ValuesDest(&one.values)...)
	if _, err := pgx.ForEachRow(rows, dest, func() error {
		one.ts = snapshot.TimeOf(ts)
		if one.ts > first {
			after++
		}
		if limit > 0 && after > limit {
			return errEnoughSamples
		}
		samples = append(samples, one)
		return nil
	}); errors.Is(err, errEnoughSamples) {
		end = one.ts // which is incomplete
		for len(samples) > 0 && samples[len(samples)-1].ts == end {
			samples = samples[:len(samples)-1]
		}
	} else if err != nil {
		return nil, 0, fmt.Errorf("read samples of machine %d: %w", machine, err)
	}
	return samples, end, nil
}

// readIdentities reads the identity of each sampled process. It is not joined to the samples, because
// command lines are long.
func (q *Queries) readIdentities(ctx context.Context, samples []sample) (map[int64]identityRow, error) {
	ids := make([]int64, len(samples))
	for i := range samples {
		ids[i] = samples[i].process
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	rows, err := q.pool.Query(ctx, identitiesSQL, ids)
	if err != nil {
		return nil, fmt.Errorf("read processes: %w", err)
	}
	identities := make(map[int64]identityRow, len(ids))
	var id int64
	var one identityRow
	var started pgtype.Timestamptz
	dest := append([]any{&id, &one.key.PID, &started}, schema.IdentityDest(&one.identity)...)
	if _, err = pgx.ForEachRow(rows, dest, func() error {
		one.key.StartedAt = snapshot.TimeOf(started.Time)
		identities[id] = one
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read processes: %w", err)
	}
	return identities, nil
}

// replay reconstructs the full process list at each instant from sparse samples, and the sum of the processes that
// ended since the instant before. The samples start with the full snapshot of the first instant's run. Both are in
// order of time and without gaps. For the first instant, only the ended processes that have a sample are known.
//
// The lists of the first skip instants are empty. If maxProcesses is not 0, replay returns no more lists than have that
// many processes together, but at least one that is not skipped.
func replay(
	instants []instant, samples []sample, identities map[int64]identityRow, skip, maxProcesses int,
) ([][]snapshot.Process, []snapshot.EndedProcesses) {
	var list snapshot.Replay
	lists, ended := make([][]snapshot.Process, len(instants)), make([]snapshot.EndedProcesses, len(instants))
	total := 0 // number of processes in lists
	for i, at := range instants {
		ended[i] = at.shortLived
		for len(samples) > 0 && samples[0].ts < at.ts { // before the first instant
			ts := samples[0].ts
			list.CarryForward()
			for ; len(samples) > 0 && samples[0].ts == ts; samples = samples[1:] {
				apply(&list, &samples[0], identities)
			}
		}
		before := list
		if at.fullTS == at.ts {
			list.Reset()
		} else {
			list.CarryForward()
		}
		gone := make(map[snapshot.ProcessKey]bool)
		for ; len(samples) > 0 && samples[0].ts == at.ts; samples = samples[1:] {
			one := &samples[0]
			if apply(&list, one, identities); schema.IsGone(one.values.State) {
				gone[identities[one.process].key] = true
				ended[i].Add(1, one.values.CPUTime)
			}
		}
		if at.fullTS == at.ts { // it has no samples of processes that are missing from it
			for key := range before.Keys() {
				if !list.Has(key) && !gone[key] {
					ended[i].Add(1, nil)
				}
			}
		}
		if i < skip {
			continue
		}
		if total += list.Len(); i > skip && maxProcesses > 0 && total > maxProcesses {
			return lists[:i], ended[:i]
		}
		lists[i] = list.Processes()
	}
	return lists, ended
}

// apply applies one sample to the list.
func apply(list *snapshot.Replay, one *sample, identities map[int64]identityRow) {
	process := identities[one.process]
	if schema.IsGone(one.values.State) {
		list.Remove(process.key)
		return
	}
	list.Set(snapshot.Process{ProcessKey: process.key, Identity: process.identity, Values: one.values})
}
