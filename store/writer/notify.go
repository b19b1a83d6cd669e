package writer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/snapwatch/snapwatch/internal/wake"
	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	// notifyEvery is how long keys are gathered: NOTIFY takes a lock on the whole
	// database when it commits, so it is sent apart from the writing
	// transactions, and at most this often.
	notifyEvery = 10 * time.Millisecond
)

// key says that a machine has a new snapshot.
type key struct {
	machineID string
	ts        snapshot.Time
}

// notifier gathers keys and sends them, newest per machine, on one connection.
// It holds at most one key a machine.
type notifier struct {
	pool    *pgxpool.Pool
	logger  *slog.Logger
	metrics *metrics

	mu      sync.Mutex
	pending map[string]snapshot.Time
	since   snapshot.Time // of the oldest commit in pending
	wake    wake.Signal
	quit    chan struct{}
	done    chan struct{}
}

func newNotifier(pool *pgxpool.Pool, logger *slog.Logger, m *metrics) *notifier {
	n := &notifier{pool: pool, logger: logger, metrics: m, pending: make(map[string]snapshot.Time),
		wake: wake.New(), quit: make(chan struct{}), done: make(chan struct{})}
	go n.run()
	return n
}

func (n *notifier) add(keys []key) {
	if len(keys) == 0 {
		return
	}
	n.mu.Lock()
	if len(n.pending) == 0 {
		n.since = snapshot.TimeOf(time.Now())
	}
	for _, k := range keys {
		n.pending[k.machineID] = max(n.pending[k.machineID], k.ts)
	}
	n.mu.Unlock()
	n.wake.Notify()
}

// close sends what is pending and ends the notifier.
func (n *notifier) close() {
	close(n.quit)
	<-n.done
}

func (n *notifier) run() {
	defer close(n.done)
	var last time.Time
	for {
		select {
		case <-n.quit:
			n.send()
			return
		case <-n.wake:
		}
		// The first key after a quiet time goes at once; the next wait their turn.
		if wait := notifyEvery - time.Since(last); wait > 0 {
			select {
			case <-n.quit:
			case <-time.After(wait):
			}
		}
		n.send()
		last = time.Now()
	}
}

// send notifies of all that is pending. Listeners that miss a notification read
// from the store what they missed, so a failure is logged, and the keys are
// kept for the next round.
func (n *notifier) send() {
	n.mu.Lock()
	batch, since := n.pending, n.since
	n.pending = make(map[string]snapshot.Time, len(batch))
	n.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	payloads := snapshot.EncodeNotifications(since, batch)
	if _, err := n.pool.Exec(ctx, `SELECT pg_notify($1, p) FROM unnest($2::text[]) p`, snapshot.NotificationChannel, payloads); err != nil {
		n.logger.Warn("could not notify of new snapshots", "machines", len(batch), "err", err)
		n.metrics.notifyFailures.Inc()
		n.mu.Lock()
		for machineID, ts := range batch {
			n.pending[machineID] = max(n.pending[machineID], ts)
		}
		n.since = since
		n.mu.Unlock()
		return
	}
	n.metrics.notifies.Add(float64(len(payloads)))
}
