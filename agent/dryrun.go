package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// DryRun records as an agent does, and writes each snapshot to w in place of sending it:
// one line of JSON each, of which a post is made. Nothing is sent, and nothing is kept.
func DryRun(ctx context.Context, cfg Config, w io.Writer, logger *slog.Logger) error {
	dir, err := os.MkdirTemp("", "snapwatch-dry-run-")
	if err != nil {
		return fmt.Errorf("make a folder for a moment: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	scrub, err := cfg.scrubber()
	if err != nil {
		return err
	}
	s, err := newSampler(dir, scrub, logger)
	if err != nil {
		return err
	}
	defer s.close()
	wire, err := newPacker()
	if err != nil {
		return err
	}
	if cfg.FullEvery <= 0 || cfg.FullEvery > snapshot.MaxChain {
		cfg.FullEvery = time.Minute
	}
	waiting := newQueue(1 << 30)
	r := newRecorder(s, waiting, logger, cfg.FullEvery)
	recording, stop := context.WithCancel(ctx)
	defer stop()
	recorded := make(chan error, 1)
	go func() { recorded <- r.run(recording) }()
	for {
		select {
		case err := <-recorded:
			return err
		case <-waiting.wake:
		}
		for _, one := range waiting.head(1<<20, 1<<30) {
			if _, err := fmt.Fprintf(w, "%s\n", one.json); err != nil {
				stop()
				return errors.Join(fmt.Errorf("write a snapshot: %w", err), <-recorded)
			}
			logger.Info("this would be sent", "timestamp", one.at.String(), "kind", one.kind, "bytes", len(one.json), "compressed", len(wire.pack(one.json)))
			waiting.remove(one.number)
		}
	}
}
