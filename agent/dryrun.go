package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/snapwatch/snapwatch/agent/delivery"
)

// dryRunQueue bounds the snapshots that wait for the writer of a dry run, in bytes.
const dryRunQueue = 1 << 30

// DryRun records like an agent, and writes each snapshot to w as one line of JSON instead of sending it. It stores
// nothing.
func DryRun(ctx context.Context, cfg Config, w io.Writer, logger *slog.Logger) error {
	sampler, closeSampler, err := temporarySampler(cfg, logger)
	if err != nil {
		return err
	}
	defer closeSampler()
	codec, err := delivery.NewCodec()
	if err != nil {
		return err
	}
	queue := delivery.NewMemoryQueue(dryRunQueue, logger)
	r := newRecorder(sampler, queue, logger, cfg.fullInterval())
	r.clock.SinceBoot = sinceBoot()
	recording, stop := context.WithCancel(ctx)
	defer stop()
	recorded := make(chan error, 1)
	go func() { recorded <- r.run(recording) }()
	for {
		select {
		case err := <-recorded:
			return err
		case <-queue.Added():
		}
		for _, e := range queue.Head(1<<20, dryRunQueue) {
			if _, err := fmt.Fprintf(w, "%s\n", e.JSON); err != nil {
				stop()
				return errors.Join(fmt.Errorf("write a snapshot: %w", err), <-recorded)
			}
			logger.Info("this snapshot would be sent", "timestamp", e.Timestamp.String(), "kind", e.Kind,
				"bytes", len(e.JSON), "compressed", len(codec.Compress(e.JSON)))
			queue.Remove(e.Number)
		}
	}
}
