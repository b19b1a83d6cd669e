// Package ingest takes the agents' posts: it decodes and checks them, groups
// those that arrive together into one commit, and answers when they are durable.
//
// Everything it holds is bounded: bytes of bodies being read and decoded, rows
// waiting for a commit. What does not fit is refused with 503 and Retry-After,
// before it costs anything.
package ingest

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
)

// Writer commits groups of batches; store.Store is one.
type Writer interface {
	// Write returns an outcome for each batch once it is durable or refused. It is
	// called concurrently, but not with the same machine.
	Write(ctx context.Context, group []*snapshot.Batch) []snapshot.WriteResult
}

// Config bounds what ingest holds and waits for. Zero values mean the defaults.
type Config struct {
	// Authorize returns nil if the caller of a request may write a machine's snapshots, and
	// else the problem to answer; nil lets everybody, whom the caller of Handle has let in.
	Authorize func(ctx context.Context, machineID string) error
	// Horizon returns the oldest instant that a snapshot may be of; nil takes any.
	Horizon func() snapshot.Time
	// Writers is how many groups are committed at the same time; 2 by default.
	Writers int
	// GroupRows is how many rows make a group full; 20,000 by default.
	GroupRows int
	// GroupWait is how long the first post of a group waits for others; 5 ms by default.
	GroupWait time.Duration
	// QueueRows bounds the rows that wait for a commit; 500,000 by default.
	QueueRows int
	// BodyBytes bounds the decompressed bodies held at one time, decoded ones included; 192 MiB by default.
	BodyBytes int64
	// CommitTimeout bounds one group's commit; 30 s by default.
	CommitTimeout time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (c *Config) setDefaults() {
	if c.Authorize == nil {
		c.Authorize = func(context.Context, string) error { return nil }
	}
	if c.Horizon == nil {
		c.Horizon = func() snapshot.Time { return math.MinInt64 }
	}
	if c.Writers == 0 {
		c.Writers = 2
	}
	if c.GroupRows == 0 {
		c.GroupRows = 20_000
	}
	if c.GroupWait == 0 {
		c.GroupWait = 5 * time.Millisecond
	}
	if c.QueueRows == 0 {
		c.QueueRows = 500_000
	}
	if c.BodyBytes == 0 {
		c.BodyBytes = 192 << 20
	}
	if c.CommitTimeout == 0 {
		c.CommitTimeout = 30 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Ingest handles POST /api/v1/snapshots.
type Ingest struct {
	cfg     Config
	logger  *slog.Logger
	metrics *metrics
	bodies  *bodyReader
	queue   *queue
}

// New returns an Ingest that commits through writer until Close.
func New(cfg Config, writer Writer, logger *slog.Logger, registry prometheus.Registerer) *Ingest {
	cfg.setDefaults()
	m := newMetrics(registry)
	m.queueLimit.Set(float64(cfg.QueueRows))
	return &Ingest{
		cfg:     cfg,
		logger:  logger,
		metrics: m,
		bodies:  newBodyReader(cfg.BodyBytes, m),
		queue:   newQueue(cfg, writer, m),
	}
}

// Close refuses further posts, commits what was accepted and returns when its
// answers are on their way.
func (i *Ingest) Close() { i.queue.close() }

// retryAfter is how long a refused agent is asked to wait, in seconds.
const retryAfter = "2"

// Handle answers one post.
func (i *Ingest) Handle(c *gin.Context) {
	started := i.cfg.Now()
	ack, status, err := i.post(c)
	i.metrics.seconds.Observe(i.cfg.Now().Sub(started).Seconds())
	if err == nil {
		i.metrics.requests.WithLabelValues("ok").Inc()
		c.JSON(status, ack)
		return
	}
	p := problem.As(err)
	i.metrics.requests.WithLabelValues(p.Code).Inc()
	if p.Status >= http.StatusInternalServerError {
		c.Header("Retry-After", retryAfter)
	}
	if p.Status >= http.StatusInternalServerError &&
		p.Code != codeClientGone { // an agent that stops is no fault of ours
		i.logger.Warn(
			"a post was not taken", "request_id", problem.RequestID(c.Request.Context()), "code", p.Code, "err", err,
		)
	} else {
		i.logger.Info("a post was refused", "request_id", problem.RequestID(c.Request.Context()), "code", p.Code, "machine_id", p.MachineID, "detail", p.Detail)
	}
	if p.Code == codeEncoding {
		c.Header("Accept-Encoding", "gzip, zstd")
	}
	p.Write(c.Writer, c.Request)
	c.Abort()
}

func (i *Ingest) post(c *gin.Context) (snapshot.Ack, int, error) {
	body, err := i.bodies.read(c.Writer, c.Request)
	if err != nil {
		return snapshot.Ack{}, 0, err
	}
	defer body.release()
	entries, err := snapshot.CountEntries(body.bytes)
	if err != nil {
		return snapshot.Ack{}, 0, err
	}
	if err := body.grow(int64(entries) * snapshot.DecodedEntryBytes); err != nil {
		return snapshot.Ack{}, 0, err
	}
	batch, err := snapshot.DecodeBatch(body.bytes)
	if err != nil {
		return snapshot.Ack{}, 0, err
	}
	if err := i.cfg.Authorize(c.Request.Context(), batch.MachineID); err != nil {
		return snapshot.Ack{}, 0, err
	}
	i.metrics.batchSnapshots.Observe(float64(len(batch.Snapshots)))
	if fault := i.checkClock(batch); fault != nil {
		return snapshot.Ack{}, 0, fault
	}
	waiting, err := i.queue.add(batch)
	if err != nil {
		return snapshot.Ack{}, 0, err
	}
	select {
	case outcome := <-waiting:
		if _, ok := errors.AsType[*snapshot.ValidationError](outcome.Err); outcome.Err != nil && !ok {
			return snapshot.Ack{}, 0, errors.Join(
				problem.New(
					http.StatusServiceUnavailable, "database_unavailable",
					"The database did not take the snapshots; send them again.",
				),
				outcome.Err,
			)
		}
		status := http.StatusCreated
		if len(batch.Snapshots) == 0 {
			status = http.StatusOK
		}
		return outcome.Ack, status, outcome.Err
	case <-c.Request.Context().Done():
		return snapshot.Ack{}, 0, problem.New(
			http.StatusServiceUnavailable, codeClientGone, "The client went away before the commit.",
		)
	}
}

// checkClock refuses timestamps far ahead of our clock, which would hide the
// present, and those past retention, which could not be kept.
func (i *Ingest) checkClock(batch *snapshot.Batch) *snapshot.ValidationError {
	now, horizon := snapshot.TimeOf(i.cfg.Now()), i.cfg.Horizon()
	for k := range batch.Snapshots {
		ts := batch.Snapshots[k].Timestamp
		fault := &snapshot.ValidationError{
			MachineID:     batch.MachineID,
			SnapshotIndex: k,
			Field:         "snapshots[" + strconv.Itoa(k) + "].timestamp",
			Timestamp:     ts,
			ServerTime:    now,
		}
		if ts > now.Add(snapshot.MaxClockSkew) {
			fault.Code = snapshot.CodeInFuture
			fault.Reason = ts.String() + " is more than " + snapshot.MaxClockSkew.String() + " ahead of the server's clock, which says " + now.String()
			return fault
		}
		if ts < horizon {
			fault.Code = snapshot.CodeTooOld
			fault.Reason = ts.String() + " is older than what is kept, which begins at " + horizon.String() + "; the server's clock says " + now.String()
			return fault
		}
	}
	return nil
}
