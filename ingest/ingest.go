// Package ingest receives posts of snapshots from agents. It decodes and validates them, commits posts that
// arrive together as one group, and responds after the commit.
//
// Memory is bounded: request bodies in memory share a budget of bytes, and posts that wait for a commit share
// a budget of rows. A post that exceeds a budget gets a 503 response with Retry-After.
package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Writer commits groups of batches. store.Store implements it.
type Writer interface {
	// Write commits a group and returns a result for each batch. It is called concurrently, for the same machine
	// only if a late post follows a live one.
	Write(ctx context.Context, group []*snapshot.Batch) []snapshot.WriteResult
}

// Config sets limits and timeouts. Zero values mean the defaults.
type Config struct {
	// Authorize returns an error, usually a *problem.Problem, if the caller of a request may not write a
	// machine's snapshots. By default every caller may.
	Authorize func(ctx context.Context, machineID string) error
	// Accept returns an error, usually a *problem.Problem, while no snapshots can be stored, for example because the
	// disk is full. It is called before a post is read. By default posts are always accepted.
	Accept func() error
	// Horizon returns the timestamp of the oldest accepted snapshot. By default there is no limit.
	Horizon func() snapshot.Time
	// Writers is the number of groups of live posts that are committed concurrently, and also that of late posts; 2
	// by default.
	Writers int
	// GroupRows is the number of rows at which a group is full; 20,000 by default.
	GroupRows int
	// GroupWait is how long the first post of a group waits for others; 5 ms by default.
	GroupWait time.Duration
	// QueueRows is the maximum number of rows that wait for a commit; 500,000 by default.
	QueueRows int
	// BodyBytes is the maximum number of bytes of request bodies in memory, including their decoded form;
	// 192 MiB by default.
	BodyBytes int64
	// CommitTimeout limits the time to commit a group; 30 s by default.
	CommitTimeout time.Duration
	// PostTimeout limits the time that a post waits for its commit; 45 s by default. It may still be committed after
	// that. If it is sent again, it is a duplicate.
	PostTimeout time.Duration
	// Now is the clock; time.Now by default.
	Now func() time.Time
}

func (c *Config) setDefaults() {
	if c.Authorize == nil {
		c.Authorize = func(context.Context, string) error { return nil }
	}
	if c.Accept == nil {
		c.Accept = func() error { return nil }
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
	if c.PostTimeout == 0 {
		c.PostTimeout = 45 * time.Second
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

// New returns an Ingest that commits through writer. Call Close to stop it.
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

// slowCommit is how long a commit may take before CheckCommits returns an error.
const slowCommit = 10 * time.Second

// CheckCommits returns an error, for people, if a commit has been waiting for the database for a long time.
func (i *Ingest) CheckCommits(context.Context) error {
	if waiting := i.queue.longestCommit(time.Now()); waiting > slowCommit {
		return fmt.Errorf("snapshots have been waiting for the database for %s", waiting.Round(time.Second))
	}
	return nil
}

// Close rejects further posts and waits until all accepted posts are committed.
func (i *Ingest) Close() { i.queue.close() }
