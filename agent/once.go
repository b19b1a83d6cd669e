package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Once takes one full snapshot of this machine, for people and scripts: it looks twice,
// as long apart as given, because what processes spend is a difference. Nothing is
// sent or kept.
func Once(ctx context.Context, cfg Config, apart time.Duration) (*snapshot.State, error) {
	s, end, err := passingSampler(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer end()
	if _, err := s.sample(ctx, time.Now(), wantedBy(snapshot.Config{}), true); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(apart):
	}
	now := time.Now()
	taken, err := s.sample(ctx, now, wantedBy(snapshot.Config{}), false)
	if err != nil {
		return nil, err
	}
	state := &snapshot.State{
		Timestamp:  snapshot.TimeOf(now),
		Kind:       snapshot.KindFull,
		IntervalMS: taken.interval.Milliseconds(),
		Machine:    taken.machine,
		Processes:  taken.processes,
	}
	state.DeriveCPUUsage()
	return state, nil
}

// passingSampler makes a sampler that leaves nothing behind once end is called.
func passingSampler(cfg Config, logger *slog.Logger) (s *sampler, end func(), err error) {
	scrub, err := cfg.scrubber()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "snapwatch-agent-")
	if err != nil {
		return nil, nil, fmt.Errorf("make a folder for a moment: %w", err)
	}
	if s, err = newSampler(dir, scrub, logger); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, func() {
		s.close()
		_ = os.RemoveAll(dir)
	}, nil
}
