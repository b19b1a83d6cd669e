package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/internal/backoff"
	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	minBackoff   = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second
	batchLimit   = 100     // snapshots in a post
	batchBytes   = 4 << 20 // of JSON in a post
	flushTimeout = 3 * time.Second
	// unauthorizedWait is the pause after the server has rejected the agent: only an administrator can change that.
	unauthorizedWait = 30 * time.Second
)

// Recorder is what the responses of the server control.
type Recorder interface {
	// Config returns the config that is in effect.
	Config() snapshot.Config
	// Configure applies a config.
	Configure(config snapshot.Config)
	// RequestFull makes the next snapshot a full one.
	RequestFull()
}

// Config is what a Sender needs.
type Config struct {
	Server    *url.URL
	Client    *http.Client
	UserAgent string
	Machine   snapshot.Machine
	// Describe returns the description of the machine as it is now. A sender without it keeps Machine.
	Describe func(ctx context.Context) snapshot.Machine
	// Source identifies this agent. Its host name is that of the machine.
	Source     snapshot.Source
	Queue      *Queue
	Codec      *Codec
	Credential *Credential
	Recorder   Recorder
	// QuarantineDir is the folder for snapshots that the server refuses for good.
	QuarantineDir string
	Logger        *slog.Logger
}

// Sender posts the entries of a queue until the server has them, and passes on the server's responses.
type Sender struct {
	machine    snapshot.Machine
	describe   func(ctx context.Context) snapshot.Machine
	source     snapshot.Source
	client     client
	queue      *Queue
	codec      *Codec
	credential *Credential
	recorder   Recorder
	quarantine quarantine
	logger     *slog.Logger
	stats      stats

	registered       bool
	unauthorizedWait time.Duration
	batchSize        int // snapshots in the next post; smaller after a refusal, to get around the one at fault
	lastPost         time.Time
	sentAhead        uint64   // number of the newest entry that was sent ahead of those before it
	ignoredSettings  []string // settings for which a warning was logged
	competitors      []string // agents that report as this machine, for which a warning was logged
}

// stats counts what a Sender does.
type stats struct {
	posts, failures, snapshots, bytes, quarantined, acknowledged atomic.Int64
}

// Stats are the counters of a Sender since its start.
type Stats struct {
	// Posts were accepted, PostFailures were not.
	Posts, PostFailures int64
	// Snapshots and Bytes (compressed) are those of accepted posts.
	Snapshots, Bytes int64
	// Quarantined snapshots were refused for good.
	Quarantined int64
	// Acknowledged is the time of the last accepted post; zero for none.
	Acknowledged snapshot.Time
}

// NewSender returns a sender. Run starts it.
func NewSender(cfg Config) *Sender {
	return &Sender{
		machine:          cfg.Machine,
		describe:         cfg.Describe,
		source:           cfg.Source,
		client:           client{cfg.Client, cfg.Server, cfg.UserAgent, cfg.Credential},
		queue:            cfg.Queue,
		codec:            cfg.Codec,
		credential:       cfg.Credential,
		recorder:         cfg.Recorder,
		quarantine:       quarantine{cfg.QuarantineDir, quarantineFiles, quarantineBytes},
		logger:           cfg.Logger,
		unauthorizedWait: unauthorizedWait,
		batchSize:        batchLimit,
	}
}

// Stats returns the counters. It is safe for concurrent use.
func (s *Sender) Stats() Stats {
	return Stats{
		Posts:        s.stats.posts.Load(),
		PostFailures: s.stats.failures.Load(),
		Snapshots:    s.stats.snapshots.Load(),
		Bytes:        s.stats.bytes.Load(),
		Quarantined:  s.stats.quarantined.Load(),
		Acknowledged: snapshot.Time(s.stats.acknowledged.Load()),
	}
}

// verdict is what to do after a post.
type verdict int

const (
	accepted   verdict = iota // the server has the batch
	retryLater                // send the same after a pause
	retryNow                  // send another batch at once
)

// Run sends until ctx ends. It then tries for at most flushTimeout to send the remaining entries.
func (s *Sender) Run(ctx context.Context) {
	pauses := backoff.Backoff{Min: minBackoff, Max: maxBackoff}
	for ctx.Err() == nil {
		s.wait(ctx)
		if ctx.Err() != nil {
			break
		}
		result, err := s.step(ctx)
		if result != retryLater {
			pauses.Reset()
			continue
		}
		pause := pauses.Next()
		if r, ok := errors.AsType[*refusal](err); ok {
			pause = max(pause, r.retryAfter)
		}
		if unauthorized(err) {
			pause = max(pause, s.unauthorizedWait)
		}
		if ctx.Err() == nil {
			waiting, size, _ := s.queue.Size()
			s.logger.Warn("could not send snapshots; retrying",
				"wait", pause, "waiting", waiting, "bytes", size, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	s.Flush(ctx)
}

// wait returns when there is something to send, or a heartbeat is due.
func (s *Sender) wait(ctx context.Context) {
	if s.queue.Ready() || !s.registered {
		return
	}
	config := s.recorder.Config()
	every := min(snapshot.HeartbeatInterval, time.Duration(config.PollingInterval*float64(time.Second)))
	if config.Enabled && every < snapshot.HeartbeatInterval {
		every *= 2 // snapshots are heartbeats too
	}
	timer := time.NewTimer(max(0, every-time.Since(s.lastPost)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.queue.Added():
	case <-timer.C:
	}
}

// Flush sends the waiting entries. It stops at the first error that an immediate retry cannot fix.
func (s *Sender) Flush(ctx context.Context) {
	for s.queue.Ready() {
		if result, err := s.step(ctx); result == retryLater {
			waiting, _, _ := s.queue.Size()
			s.logger.Warn("stopping with unsent snapshots", "waiting", waiting, "err", err)
			return
		}
	}
}

// step enrols, rotates the token and registers if that is due, and then posts one batch.
func (s *Sender) step(ctx context.Context) (verdict, error) {
	result, err := s.attempt(ctx)
	if result == retryLater && err != nil {
		if err := s.reauthenticate(ctx, err); err != nil {
			return retryLater, err
		}
		return retryNow, nil // with the new token
	}
	return result, err
}

func (s *Sender) attempt(ctx context.Context) (verdict, error) {
	if s.credential.token == "" {
		if err := s.enrol(ctx); err != nil {
			return retryLater, err
		}
	}
	if s.credential.rotationDue(time.Now()) {
		if err := s.rotate(ctx); err != nil { // the current token is still valid; try again in an hour
			s.logger.Warn("could not rotate the token", "err", err)
			s.credential.issued = time.Now().Add(time.Hour - rotateAfter)
		}
	}
	s.updateDescription(ctx)
	if !s.registered {
		if err := s.register(ctx); err != nil {
			return retryLater, fmt.Errorf("register: %w", err)
		}
		s.registered = true
	}
	batch := s.queue.Head(s.batchSize, batchBytes)
	ack, err := s.post(ctx, batch)
	if err != nil {
		s.stats.failures.Add(1)
		return s.handleRefusal(batch, err)
	}
	s.stats.posts.Add(1)
	s.stats.snapshots.Add(int64(len(batch)))
	s.stats.acknowledged.Store(s.lastPost.UnixMilli())
	if len(batch) > 0 {
		s.queue.Remove(batch[len(batch)-1].Number)
	}
	s.batchSize = batchLimit
	s.apply(ack)
	return s.sendAhead(ctx)
}

// sendAhead sends the newest run while many entries wait before it, so that a live view does not have to wait for the
// past. The run stays in the queue. It is sent again in its turn, and the server recognises the duplicates.
func (s *Sender) sendAhead(ctx context.Context) (verdict, error) {
	newest := s.queue.Newest(s.sentAhead)
	if len(newest) == 0 {
		return accepted, nil
	}
	_, err := s.post(ctx, newest)
	if refusedForGood(err) {
		s.logger.Debug("the server does not accept the newest snapshots ahead of the rest", "err", err)
	} else if err != nil {
		return retryLater, err
	}
	s.sentAhead = newest[len(newest)-1].Number
	return accepted, nil
}

// refusedForGood reports whether the server refused a post for its content.
func refusedForGood(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.status >= 400 && r.status < 500 &&
		r.status != http.StatusUnauthorized && r.status != http.StatusTooManyRequests
}

// handleRefusal decides what to do with a batch that the server did not accept.
func (s *Sender) handleRefusal(batch []Entry, err error) (verdict, error) {
	r, ok := errors.AsType[*refusal](err)
	if !ok || len(batch) == 0 {
		return retryLater, err
	}
	switch r.status {
	case http.StatusRequestEntityTooLarge:
		if len(batch) > 1 {
			s.batchSize = len(batch) / 2
			return retryNow, err
		}
	case http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity:
		if r.Snapshot != nil && *r.Snapshot > 0 && *r.Snapshot < len(batch) {
			s.batchSize = *r.Snapshot // those before the one at fault are good
			return retryNow, err
		}
	default:
		return retryLater, err
	}
	// The first snapshot is at fault. The changes that follow it are useless without it.
	if run := s.queue.DropRun(batch[0].Number); len(run) > 0 {
		s.stats.quarantined.Add(int64(len(run)))
		path, putErr := s.quarantine.put(s.machine.MachineID, err.Error(), run)
		s.logger.Warn(
			"the server refused a snapshot; it and the changes that follow it are in quarantine",
			"timestamp", batch[0].Timestamp.String(), "snapshots", len(run), "file", path,
			"err", errors.Join(err, putErr),
		)
	}
	s.recorder.RequestFull()
	s.batchSize = batchLimit
	return retryNow, err
}

// post posts a batch.
func (s *Sender) post(ctx context.Context, batch []Entry) (*acknowledgement, error) {
	source := s.source
	source.Hostname = s.machine.Hostname
	sourceJSON, err := json.Marshal(source)
	if err != nil {
		return nil, fmt.Errorf("encode the source: %w", err)
	}
	var body bytes.Buffer
	body.WriteString(`{"machine_id":"` + s.machine.MachineID + `","source":`)
	body.Write(sourceJSON)
	body.WriteString(`,"snapshots":[`)
	for i := range batch {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(batch[i].body())
	}
	body.WriteString(`]}`)
	compressed := s.codec.Compress(body.Bytes())
	var ack acknowledgement
	err = s.client.post(ctx, "/api/v1/snapshots", compressed, "zstd", &ack)
	s.lastPost = time.Now()
	if err == nil {
		s.stats.bytes.Add(int64(len(compressed)))
	}
	return &ack, err
}
