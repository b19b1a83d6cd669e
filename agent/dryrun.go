package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// DryRun records as an agent does, and writes each snapshot to w in place of sending it:
// one line of JSON each, of which a post is made. Nothing is sent, and nothing is kept.
func DryRun(ctx context.Context, cfg Config, w io.Writer, logger *slog.Logger) error {
	s, end, err := passingSampler(cfg, logger)
	if err != nil {
		return err
	}
	defer end()
	wire, err := newPacker()
	if err != nil {
		return err
	}
	waiting := newQueue(1 << 30)
	r := newRecorder(s, waiting, logger, cfg.fullEvery())
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
			logger.Info(
				"this would be sent", "timestamp", one.at.String(), "kind", one.kind, "bytes", len(one.json),
				"compressed", len(wire.pack(one.json)),
			)
			waiting.remove(one.number)
		}
	}
}
