package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/snapwatch/snapwatch/agent/collect"
	"github.com/snapwatch/snapwatch/snapshot"
)

// Once returns one full snapshot of this machine. It takes two samples, interval apart, because the amounts in a
// snapshot are differences. It sends and stores nothing.
func Once(ctx context.Context, cfg Config, interval time.Duration) (*snapshot.State, error) {
	sampler, closeSampler, err := temporarySampler(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer closeSampler()
	options := collect.OptionsOf(snapshot.Config{})
	if _, err := sampler.Sample(ctx, time.Now(), options, true); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(interval):
	}
	now := time.Now()
	sample, err := sampler.Sample(ctx, now, options, false)
	if err != nil {
		return nil, err
	}
	state := &snapshot.State{
		Timestamp:  snapshot.TimeOf(now),
		Kind:       snapshot.KindFull,
		IntervalMS: sample.Interval.Milliseconds(),
		Machine:    sample.Machine,
		Processes:  sample.Processes,
	}
	state.DeriveCPUUsage()
	return state, nil
}

// temporarySampler returns a sampler whose state is deleted by closeSampler.
func temporarySampler(cfg Config, logger *slog.Logger) (s *collect.Sampler, closeSampler func(), err error) {
	dir, err := os.MkdirTemp("", "snapwatch-agent-")
	if err != nil {
		return nil, nil, fmt.Errorf("create a temporary folder: %w", err)
	}
	if s, _, err = openSampler(cfg, dir, logger); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, func() {
		s.Close()
		_ = os.RemoveAll(dir)
	}, nil
}
