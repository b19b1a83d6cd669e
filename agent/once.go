package agent

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Once takes one full snapshot of this machine, for people and scripts: it looks twice,
// as long apart as given, because what processes spend is a difference. Nothing is
// sent or kept.
func Once(ctx context.Context, apart time.Duration) (*snapshot.State, error) {
	dir, err := os.MkdirTemp("", "snapwatch-once-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for a moment: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := newSampler(dir)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if _, err := s.sample(ctx, true); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(apart):
	}
	taken, err := s.sample(ctx, false)
	if err != nil {
		return nil, err
	}
	state := &snapshot.State{Timestamp: taken.at, Kind: snapshot.KindFull, IntervalMS: taken.interval.Milliseconds(), Machine: taken.machine, Processes: taken.processes}
	state.Derive()
	return state, nil
}
