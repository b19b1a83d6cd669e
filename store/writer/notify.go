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
	// notifyInterval is the minimum time between notifications. A commit with NOTIFY locks the whole
	// database, so notifications are collected and sent outside of the writer's transactions.
	notifyInterval = 10 * time.Millisecond
)

// notifier collects the newest snapshot of each machine and sends them with NOTIFY.
type notifier struct {
	pool    *pgxpool.Pool
	logger  *slog.Logger
	metrics *metrics

	mu      sync.Mutex
	pending map[string]snapshot.Time // newest snapshot by machine id
	since   snapshot.Time            // time of the oldest commit in pending
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

// add schedules a notification of the newest committed snapshots, by machine id.
func (n *notifier) add(newest map[string]snapshot.Time) {
	if len(newest) == 0 {
		return
	}
	n.mu.Lock()
	if len(n.pending) == 0 {
		n.since = snapshot.TimeOf(time.Now())
	}
	n.merge(newest)
	n.mu.Unlock()
	n.wake.Notify()
}

// merge adds to pending. The caller holds n.mu.
func (n *notifier) merge(newest map[string]snapshot.Time) {
	for machineID, ts := range newest {
		n.pending[machineID] = max(n.pending[machineID], ts)
	}
}

// close sends the pending notifications and stops the notifier.
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
		// Do not delay the first notification after a pause.
		if wait := notifyInterval - time.Since(last); wait > 0 {
			select {
			case <-n.quit:
			case <-time.After(wait):
			}
		}
		n.send()
		last = time.Now()
	}
}

// send sends all pending notifications. If it fails, they stay pending. Listeners that miss a
// notification read the snapshots from the database later.
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
		n.logger.Warn("could not send notifications of new snapshots, retrying", "machines", len(batch), "err", err)
		n.metrics.notifyFailures.Inc()
		n.mu.Lock()
		n.merge(batch)
		n.since = since
		n.mu.Unlock()
		return
	}
	n.metrics.notifies.Add(float64(len(payloads)))
}
