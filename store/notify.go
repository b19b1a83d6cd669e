package store

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	// Channel is where the store tells what it has committed.
	Channel = "snapwatch_snapshots"
	// notifyEvery is how long keys are gathered: NOTIFY takes a lock on the whole
	// database when it commits, so it is sent apart from the writing
	// transactions, and at most this often.
	notifyEvery = 10 * time.Millisecond
	// maxPayload is what PostgreSQL takes as a payload, less one.
	maxPayload = 7999
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
	wake    chan struct{}
	quit    chan struct{}
	done    chan struct{}
}

func newNotifier(pool *pgxpool.Pool, logger *slog.Logger, m *metrics) *notifier {
	n := &notifier{pool: pool, logger: logger, metrics: m, pending: make(map[string]snapshot.Time),
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go n.run()
	return n
}

func (n *notifier) add(keys []key) {
	if len(keys) == 0 {
		return
	}
	n.mu.Lock()
	for _, k := range keys {
		n.pending[k.machineID] = max(n.pending[k.machineID], k.ts)
	}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
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
	batch := n.pending
	n.pending = make(map[string]snapshot.Time, len(batch))
	n.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	payloads := encodeKeys(batch)
	if _, err := n.pool.Exec(ctx, `SELECT pg_notify($1, p) FROM unnest($2::text[]) p`, Channel, payloads); err != nil {
		n.logger.Warn("could not notify of new snapshots", "machines", len(batch), "err", err)
		n.metrics.notifyFailures.Inc()
		n.mu.Lock()
		for machineID, ts := range batch {
			n.pending[machineID] = max(n.pending[machineID], ts)
		}
		n.mu.Unlock()
		return
	}
	n.metrics.notifies.Add(float64(len(payloads)))
}

// encodeKeys packs keys, as "machine_id ts" joined by commas, into payloads.
// Machine ids hold neither blanks nor commas.
func encodeKeys(batch map[string]snapshot.Time) []string {
	var payloads []string
	var b strings.Builder
	for machineID, ts := range batch {
		part := machineID + " " + strconv.FormatInt(int64(ts), 10)
		if b.Len()+1+len(part) > maxPayload {
			payloads = append(payloads, b.String())
			b.Reset()
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(part)
	}
	return append(payloads, b.String())
}

// DecodeKeys reads a payload: the newest committed instant per machine.
func DecodeKeys(payload string) (map[string]snapshot.Time, error) {
	keys := make(map[string]snapshot.Time)
	for part := range strings.SplitSeq(payload, ",") {
		machineID, text, ok := strings.Cut(part, " ")
		ms, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil || machineID == "" {
			return nil, fmt.Errorf("%q is not a machine and an instant", part)
		}
		keys[machineID] = snapshot.Time(ms)
	}
	return keys, nil
}
