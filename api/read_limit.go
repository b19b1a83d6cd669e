package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/problem"
)

const (
	// maxReadWait is how long a read waits for its turn.
	maxReadWait = 10 * time.Second
	// A read whose response has begun tries every patientRetry, and gives up after maxPatience.
	patientRetry = time.Second
	maxPatience  = 2 * time.Minute
	// Maximum numbers of reads that wait, of one caller and of all.
	maxCallerWaiting = 30
	maxWaiting       = 500
)

// readLimit limits the reads that use the database at the same time, in total and by caller. Reads beyond that wait for
// their turn. A caller can have at most half of them, so that there is always a turn for others. Callers have turns
// alternately, so that one with many waiting reads does not delay the others.
type readLimit struct {
	total, perCaller int
	refused          *prometheus.CounterVec

	mu      sync.Mutex
	running int
	turns   uint64 // that were given
	callers map[string]*callerReads
	waiting []*waitingRead // in order of arrival
}

// callerReads are the reads of a caller.
type callerReads struct {
	running, waiting int
	lastTurn         uint64 // number of the caller's last turn, 0 if it had none
}

// waitingRead is a read that waits for its turn.
type waitingRead struct {
	caller string
	turn   chan struct{} // closed when it may run
}

// newReadLimit returns a limit of total reads.
func newReadLimit(total int, registry prometheus.Registerer) *readLimit {
	l := &readLimit{
		total:     total,
		perCaller: max(total/2, 1),
		callers:   make(map[string]*callerReads),
		refused: prometheus.NewCounterVec(
			prometheus.CounterOpts{
				Name: "snapwatch_http_reads_refused_total",
				Help: "Reads that were refused, because their caller or all callers together had too many.",
			},
			[]string{"limit"},
		),
	}
	for _, limit := range []string{"caller", "total", "wait"} {
		l.refused.WithLabelValues(limit)
	}
	running := prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "snapwatch_http_reads_running", Help: "Reads that use the database."},
		func() float64 { l.mu.Lock(); defer l.mu.Unlock(); return float64(l.running) },
	)
	waiting := prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "snapwatch_http_reads_waiting", Help: "Reads that wait for their turn."},
		func() float64 { l.mu.Lock(); defer l.mu.Unlock(); return float64(len(l.waiting)) },
	)
	registry.MustRegister(l.refused, running, waiting)
	return l
}

// acquire waits for the turn of a caller's read. It returns a function that ends the read, or a problem if there are
// too many.
func (l *readLimit) acquire(ctx context.Context, caller string) (release func(), err error) {
	read, err := l.enter(caller)
	if err != nil {
		return nil, err
	}
	timeout := time.NewTimer(maxReadWait)
	defer timeout.Stop()
	select {
	case <-read.turn:
		return sync.OnceFunc(func() { l.leave(caller) }), nil
	case <-ctx.Done():
		l.giveUp(read)
		return nil, ctx.Err()
	case <-timeout.C:
		l.giveUp(read)
		l.refused.WithLabelValues("wait").Inc()
		return nil, problem.New(http.StatusServiceUnavailable, "busy", fmt.Sprintf(
			"Other requests kept the database busy for %s. Try again later.", maxReadWait))
	}
}

// acquirePatiently is acquire for a read that cannot be refused any more, because its response has begun. It tries
// again after each refusal, for at most maxPatience.
func (l *readLimit) acquirePatiently(ctx context.Context, caller string) (release func(), err error) {
	for started := time.Now(); ; {
		release, err := l.acquire(ctx, caller)
		if _, refused := errors.AsType[*problem.Problem](err); !refused || time.Since(started) >= maxPatience {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(patientRetry):
		}
	}
}

// enter queues a read.
func (l *readLimit) enter(caller string) (*waitingRead, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	reads := l.callers[caller]
	if reads == nil {
		reads = &callerReads{}
	}
	switch {
	case reads.waiting >= maxCallerWaiting:
		l.refused.WithLabelValues("caller").Inc()
		p := problem.New(http.StatusTooManyRequests, "too_many_reads", fmt.Sprintf(
			"You have %d requests that wait for the database. Wait for their answers before you send more.",
			maxCallerWaiting))
		p.Limit = maxCallerWaiting
		return nil, p
	case len(l.waiting) >= maxWaiting:
		l.refused.WithLabelValues("total").Inc()
		return nil, problem.New(http.StatusServiceUnavailable, "busy",
			"Too many requests wait for the database. Try again later.")
	}
	l.callers[caller] = reads
	reads.waiting++
	read := &waitingRead{caller: caller, turn: make(chan struct{})}
	l.waiting = append(l.waiting, read)
	l.admit()
	return read, nil
}

// leave ends a read that had its turn.
func (l *readLimit) leave(caller string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	l.callers[caller].running--
	l.drop(caller)
	l.admit()
}

// giveUp removes a read whose turn is no longer waited for.
func (l *readLimit) giveUp(read *waitingRead) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.waiting {
		if other == read {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			l.callers[read.caller].waiting--
			l.drop(read.caller)
			return
		}
	}
	l.running-- // its turn came at the same moment
	l.callers[read.caller].running--
	l.drop(read.caller)
	l.admit()
}

// drop removes the numbers of a caller without reads. The caller holds l.mu.
func (l *readLimit) drop(caller string) {
	if reads := l.callers[caller]; reads.running == 0 && reads.waiting == 0 {
		delete(l.callers, caller)
	}
}

// admit gives turns to waiting reads while there are free ones. The caller holds l.mu.
func (l *readLimit) admit() {
	for l.running < l.total {
		i := l.next()
		if i < 0 {
			return
		}
		read := l.waiting[i]
		l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
		l.running++
		l.turns++
		reads := l.callers[read.caller]
		reads.waiting--
		reads.running++
		reads.lastTurn = l.turns
		close(read.turn)
	}
}

// next returns the index of the waiting read that has the next turn, or -1 if there is none. It is the first of the
// caller with the fewest running reads and, among several, of the one whose last turn was the longest ago. The caller
// holds l.mu.
func (l *readLimit) next() int {
	best := -1
	var of *callerReads
	for i, read := range l.waiting {
		reads := l.callers[read.caller]
		if reads.running >= l.perCaller {
			continue
		}
		if of == nil || cmp.Or(cmp.Compare(reads.running, of.running), cmp.Compare(reads.lastTurn, of.lastTurn)) < 0 {
			best, of = i, reads
		}
	}
	return best
}

// readPrefixes are the paths whose GET operations read the history. All others use connections of their own.
var readPrefixes = []string{
	"/api/v1/machines", "/api/v1/processes", "/api/v1/trends", "/api/v1/storage", "/metrics/machines",
}

// unlimitedReads are operations under these paths that take no turn: agents read their config on another pool, and an
// export takes a turn for each page.
var unlimitedReads = []string{"GET /api/v1/machines/{machine_id}/config", exportOperation}

// queryMargin is how much longer than one query a read may take that has its turn.
const queryMargin = 2 * time.Second

// limitReads is the middleware that waits for the turn of a read.
func (a *API) limitReads(c *gin.Context) {
	operation := operationOf(c)
	if !strings.HasPrefix(operation, "GET ") || !isRead(operation) {
		return
	}
	release, err := a.reads.acquire(c.Request.Context(), callerKey(auth.PrincipalOf(c.Request.Context())))
	if err != nil {
		a.abort(c, err)
		return
	}
	defer release()
	// A query that the database does not end in time is given up a little later.
	ctx, cancel := context.WithTimeoutCause(c.Request.Context(), a.cfg.QueryTimeout+queryMargin, errTimeLimit)
	defer cancel()
	c.Request = c.Request.WithContext(context.WithValue(ctx, readKey{}, true))
	c.Next()
}

// readKey is the key in the context of a read that has its turn.
type readKey struct{}

// hasTurn reports whether a context is that of a read that has its turn, so that what takes long is its query.
func hasTurn(ctx context.Context) bool { return ctx.Value(readKey{}) != nil }

// isRead reports whether an operation takes a turn.
func isRead(operation string) bool {
	for _, unlimited := range unlimitedReads {
		if operation == unlimited {
			return false
		}
	}
	path := strings.TrimPrefix(operation, "GET ")
	for _, prefix := range readPrefixes {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}
