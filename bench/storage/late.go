package main

import (
	"context"
	"fmt"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// late measures the cost of late data from spools of agents. Its rows belong to a day whose chunks are
// compressed and whose rollups are materialized.
func (b *bench) late(ctx context.Context) error {
	now := snapshot.TimeOf(b.now).Add(-2 * time.Hour)
	live, rows := b.batches(fullEvery, writeMachines, b.writeRows*2, func(int) snapshot.Time { return now })
	took, err := b.writeThroughStore(live, 2)
	if err != nil {
		return fmt.Errorf("live data: %w", err)
	}
	rate := float64(rows) / took.Seconds()
	day := snapshot.TimeOf(b.now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -2).Add(10 * time.Hour))
	kept, rows := b.batches(fullEvery, writeMachines, b.writeRows*2, func(int) snapshot.Time { return day })
	if took, err = b.writeThroughStore(kept, 2); err != nil {
		return fmt.Errorf("late data: %w", err)
	}
	b.say(
		"two days late, through the store, sparse, logical samples/s", "%.0f (%.2f of live)",
		float64(rows)/took.Seconds(), float64(rows)/took.Seconds()/rate,
	)
	rolled, compressed, err := b.settle(ctx)
	if err != nil {
		return err
	}
	b.say(
		"  making its rollups and the live ones; compressing again", "%s; %s", rolled.Round(10*time.Millisecond),
		compressed.Round(10*time.Millisecond),
	)
	return nil
}
