package main

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/schema"
)

const (
	writeMachines = 20
	writers       = 4 // number of connections that send posts
	perBatch      = 10
)

// writes measures writes: first plain COPY, then the store, then HTTP, then sparse snapshots, and
// VictoriaMetrics for comparison.
func (b *bench) writes(ctx context.Context) error {
	// Use the best of three, because the first one includes the creation of files.
	copied := 0.0
	for range 3 {
		rate, err := b.bareCopy(ctx)
		if err != nil {
			return fmt.Errorf("bare COPY: %w", err)
		}
		copied = max(copied, rate)
	}
	b.say("bare COPY, rows/s", "%.0f", copied)

	full, rows := b.batches(1, writeMachines, b.writeRows, func(int) snapshot.Time { return b.writeBegin() })
	took, err := b.writeThroughStore(full, 2)
	if err != nil {
		return err
	}
	b.say(
		"through the store, full, samples/s (ratio to COPY)", "%.0f (%.2f)", float64(rows)/took.Seconds(),
		float64(rows)/took.Seconds()/copied,
	)
	if err := b.truncate(ctx); err != nil {
		return err
	}

	took, cpu, open, err := b.withAndWithoutToken(ctx, full)
	if err != nil {
		return err
	}
	b.say(
		"over HTTP, gzip JSON, full, samples/s (ratio to COPY)", "%.0f (%.2f); all of it used %.1f of %.1f s CPU",
		float64(rows)/took.Seconds(), float64(rows)/took.Seconds()/copied, cpu.Seconds(), 2*took.Seconds(),
	)
	b.say("  with a token and all limits against neither", "%.3f", open.Seconds()/took.Seconds())

	sparse, logical := b.batches(
		fullEvery, writeMachines, b.writeRows*4, func(int) snapshot.Time { return b.writeBegin() },
	)
	took, cpu, open, err = b.withAndWithoutToken(ctx, sparse)
	if err != nil {
		return err
	}
	ours := float64(logical) / took.Seconds()
	b.ingestCPU = cpu.Seconds() / float64(logical)
	b.say("over HTTP, gzip JSON, sparse, logical samples/s", "%.0f", ours)
	b.say("  with a token and all limits against neither", "%.3f", open.Seconds()/took.Seconds())
	if program, err := exec.LookPath(b.victoria); err == nil {
		theirs, err := b.writeToVictoriaMetrics(ctx, program)
		if err != nil {
			return fmt.Errorf("VictoriaMetrics: %w", err)
		}
		b.say(
			"VictoriaMetrics, the same as 3 series, gzip, samples/s (ours/theirs)", "%.0f (%.1f)", theirs,
			ours/theirs,
		)
	}
	fmt.Println()
	return nil
}

// writeBegin returns an hour two days ago. It is recent enough to be accepted.
func (b *bench) writeBegin() snapshot.Time {
	return snapshot.TimeOf(b.now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -2))
}

// batches returns posts of ten snapshots each, with about the given number of samples in total. The machines
// alternate.
func (b *bench) batches(fullEvery, machines, samples int, begin func(int) snapshot.Time) ([]*snapshot.Batch, int) {
	fleet := make([]*machine, machines)
	next := make([]snapshot.Time, machines)
	for i := range fleet {
		next[i] = begin(i)
		fleet[i] = newMachine(uint64(i+1), fmt.Sprintf("write-%02d", i), b.processes, next[i])
	}
	var list []*snapshot.Batch
	total := 0
	for total < samples {
		for i, m := range fleet {
			batch := &snapshot.Batch{MachineID: m.id}
			for range perBatch {
				s, n := m.snapshot(next[i], b.interval, fullEvery)
				s.Processes = append([]snapshot.ProcessSample(nil), s.Processes...)
				next[i] = next[i].Add(b.interval)
				batch.Snapshots = append(batch.Snapshots, s)
				total += n
			}
			list = append(list, batch)
		}
	}
	return list, total
}

// truncate deletes all rows and machines.
func (b *bench) truncate(ctx context.Context) error {
	shortLived := schema.ShortLivedRows.Name
	if b.store.Profile().Profile == backend.Postgres {
		shortLived = schema.ShortLivedBatches.Name
	}
	for _, table := range []string{
		"process_samples", "snapshots", "disk_samples", "net_samples", "processes", "commands", "owners",
		shortLived, schema.ShortLivedMinutes, "machine_sources, machines",
	} {
		if _, err := b.pool.Exec(ctx, `TRUNCATE `+table); err != nil {
			return err
		}
	}
	if b.store.Profile().Profile == backend.Postgres {
		if _, err := b.pool.Exec(ctx, `TRUNCATE rollup_marks`); err != nil {
			return err
		}
	}
	// Write out the data of the previous measurement, if the role is a superuser.
	_, _ = b.pool.Exec(ctx, `CHECKPOINT`)
	return nil
}

// writeThroughStore writes the batches from several goroutines, as ingest does.
func (b *bench) writeThroughStore(batches []*snapshot.Batch, lanes int) (time.Duration, error) {
	queues := make([][]*snapshot.Batch, lanes)
	for i, batch := range batches {
		lane := i % writeMachines % lanes
		queues[lane] = append(queues[lane], batch)
	}
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	started := time.Now()
	for _, queue := range queues {
		wg.Go(func() {
			for len(queue) > 0 {
				n := min(6, len(queue))
				for _, outcome := range b.store.Write(context.Background(), queue[:n]) {
					if outcome.Err != nil {
						failed.Store(&outcome.Err)
						return
					}
				}
				queue = queue[n:]
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return time.Since(started), nil
}
