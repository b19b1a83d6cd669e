package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	minBackoff   = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second
	batchLimit   = 100     // snapshots in a post
	batchBytes   = 4 << 20 // of JSON in a post
	maxAnswer    = 1 << 20
	postTimeout  = 60 * time.Second
	flushTimeout = 3 * time.Second
)

// sender is the sending loop: it posts the head of the queue until the server
// has it, and passes on what the server says.
type sender struct {
	base      *url.URL
	machine   snapshot.Machine
	client    *http.Client
	queue     *queue
	recorder  *recorder
	logger    *slog.Logger
	userAgent string

	credential *credential
	shelf      shelf
	packer     *packer
	registered bool
	// refusedWait is how long to wait when the server does not let the agent in.
	refusedWait time.Duration
	most        int // snapshots in the next post; shrinks to get around a fault
	lastPost    time.Time
	ahead       uint64   // the newest snapshot that was sent ahead of those before it
	ignored     []string // settings that were warned of
}

// verdict is what to do after a post.
type verdict int

const (
	accepted verdict = iota // the server has the batch
	again                   // the same later
	narrowed                // at once, with another head or a smaller batch
)

// refusal is an answer other than success: as much of the server's problem as we act on.
type refusal struct {
	status     int
	retryAfter time.Duration
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	Snapshot   *int   `json:"snapshot"`
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.Code, r.Detail) }

// run sends until ctx ends, and then tries, for a moment, to send what is left.
func (s *sender) run(ctx context.Context) {
	backoff := minBackoff
	for ctx.Err() == nil {
		s.wait(ctx)
		if ctx.Err() != nil {
			break
		}
		result, err := s.step(ctx)
		if result != again {
			backoff = minBackoff
			continue
		}
		wait := backoff/2 + rand.N(backoff/2)
		if r, ok := errors.AsType[*refusal](err); ok {
			wait = max(wait, r.retryAfter)
		}
		if notLetIn(err) {
			wait = max(wait, s.refusedWait)
		}
		if ctx.Err() == nil {
			waiting, size, _ := s.queue.size()
			s.logger.Warn(
				"the server does not take our snapshots", "wait", wait, "waiting", waiting, "bytes", size, "err", err,
			)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		backoff = min(2*backoff, maxBackoff)
	}
	s.flush(context.WithoutCancel(ctx))
}

// wait returns when there is something to send, or a heartbeat is due.
func (s *sender) wait(ctx context.Context) {
	if s.queue.ready() || !s.registered {
		return
	}
	every := min(snapshot.HeartbeatInterval, s.recorder.interval())
	if s.recorder.current().Enabled && every < snapshot.HeartbeatInterval {
		every *= 2 // snapshots are signs of life themselves
	}
	timer := time.NewTimer(max(0, every-time.Since(s.lastPost)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.queue.wake:
	case <-timer.C:
	}
}

func (s *sender) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	for {
		if !s.queue.ready() {
			return
		}
		if result, err := s.step(ctx); result == again {
			waiting, _, _ := s.queue.size()
			s.logger.Warn("stopping with snapshots unsent", "waiting", waiting, "err", err)
			return
		}
	}
}

// step registers if that is still to be done, or posts one batch.
func (s *sender) step(ctx context.Context) (verdict, error) {
	result, err := s.attempt(ctx)
	if result == again && err != nil {
		if err := s.readmit(ctx, err); err != nil {
			return again, err
		}
		return narrowed, nil // with the new token
	}
	return result, err
}

func (s *sender) attempt(ctx context.Context) (verdict, error) {
	if s.credential.token == "" {
		if err := s.enrol(ctx); err != nil {
			return again, err
		}
	}
	if s.credential.due(time.Now()) {
		if err := s.rotate(ctx); err != nil { // there is time
			s.logger.Warn("the token could not be rotated", "err", err)
			s.credential.since = time.Now().Add(time.Hour - rotateAfter)
		}
	}
	if !s.registered {
		if err := s.register(ctx); err != nil {
			return again, fmt.Errorf("register: %w", err)
		}
		s.registered = true
	}
	batch := s.queue.head(s.most, batchBytes)
	ack, err := s.post(ctx, batch)
	s.lastPost = time.Now()
	figures := &s.recorder.figures
	if err != nil {
		figures.postFailures.Add(1)
		return s.judge(batch, err)
	}
	figures.posts.Add(1)
	figures.sent.Add(int64(len(batch)))
	figures.acknowledged.Store(s.lastPost.UnixMilli())
	if len(batch) > 0 {
		s.queue.remove(batch[len(batch)-1].number)
	}
	s.most = batchLimit
	s.recorder.configure(ack.Config.Config)
	if names := ack.unknown(); !slices.Equal(names, s.ignored) {
		s.ignored = names
		if len(names) > 0 {
			s.logger.Warn(
				"the server has settings that this agent does not know, and ignores: is there a newer agent?",
				"settings", names,
			)
		}
	}
	// Someone has deleted the machine meanwhile: say again what it is.
	s.registered = !ack.Unregistered || s.machine.Hostname == ""
	return s.goAhead(ctx)
}

// goAhead sends the newest run while much waits before it: whoever looks at the machine
// now need not wait for its past. All of it is sent again in its turn, and then turned
// away as stored: the queue stays a queue.
func (s *sender) goAhead(ctx context.Context) (verdict, error) {
	newest := s.queue.ahead(s.ahead)
	if len(newest) == 0 {
		return accepted, nil
	}
	_, err := s.post(ctx, newest)
	s.lastPost = time.Now()
	last := newest[len(newest)-1].number
	if r, refused := errors.AsType[*refusal](err); refused && r.status >= 400 && r.status < 500 &&
		r.status != http.StatusUnauthorized &&
		r.status != http.StatusTooManyRequests {
		s.logger.Debug("the newest snapshots are not taken ahead of the rest", "err", err)
		s.ahead = last // the next run may be
		return accepted, nil
	}
	if err != nil {
		return again, err
	}
	s.ahead = last
	return accepted, nil
}

// judge decides by the server's refusal what becomes of the batch.
func (s *sender) judge(batch []queued, err error) (verdict, error) {
	r, ok := errors.AsType[*refusal](err)
	if !ok || len(batch) == 0 {
		return again, err
	}
	switch r.status {
	case http.StatusRequestEntityTooLarge:
		if len(batch) > 1 {
			s.most = len(batch) / 2
			return narrowed, err
		}
	case http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity:
		if r.Snapshot != nil && *r.Snapshot > 0 && *r.Snapshot < len(batch) {
			s.most = *r.Snapshot // those before the one at fault are good
			return narrowed, err
		}
	default:
		return again, err
	}
	// The first snapshot is the one at fault: what rests on it is lost with it.
	refused := s.queue.dropChain(batch[0].number)
	if len(refused) > 0 {
		s.recorder.figures.setAside.Add(int64(len(refused)))
		path, failed := s.shelf.put(s.machine.MachineID, err.Error(), refused)
		s.logger.Warn(
			"the server refused a snapshot for good: it is set aside, with the changes that rest on it",
			"timestamp", batch[0].at.String(), "snapshots", len(refused), "file", path,
			"err", errors.Join(err, failed),
		)
	}
	s.recorder.demandFull()
	s.most = batchLimit
	return narrowed, err
}

func (s *sender) register(ctx context.Context) error {
	body, err := json.Marshal(&s.machine)
	if err != nil {
		return fmt.Errorf("encode the machine: %w", err)
	}
	var config snapshot.Config
	if err := s.do(ctx, "/api/v1/machines", body, "", &config); err != nil {
		return err
	}
	s.logger.Info("registered", "machine_id", s.machine.MachineID, "server", s.base.Redacted())
	s.recorder.configure(config)
	return nil
}

// acknowledged is snapshot.Ack with what the config has that this agent does not know.
type acknowledged struct {
	snapshot.Ack
	Config struct {
		snapshot.Config
		Unknown map[string]jsontext.Value `json:",embed"`
	} `json:"config"`
}

// unknown lists the settings that a newer server has, and this agent does not obey.
func (a *acknowledged) unknown() []string {
	names := slices.Collect(maps.Keys(a.Config.Unknown))
	for _, part := range a.Config.Omit {
		if !slices.Contains(snapshot.Parts(), part) {
			names = append(names, "omit "+string(part))
		}
	}
	slices.Sort(names)
	return names
}

func (s *sender) post(ctx context.Context, batch []queued) (*acknowledged, error) {
	var body bytes.Buffer
	body.WriteString(`{"machine_id":"` + s.machine.MachineID + `","snapshots":[`)
	for i := range batch {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(batch[i].body())
	}
	body.WriteString(`]}`)
	var ack acknowledged
	packed := s.packer.pack(body.Bytes())
	err := s.do(ctx, "/api/v1/snapshots", packed, "zstd", &ack)
	if err == nil {
		s.recorder.figures.sentBytes.Add(int64(len(packed)))
	}
	return &ack, err
}

// do posts a body and decodes the answer, or returns a *refusal.
func (s *sender) do(ctx context.Context, path string, body []byte, encoding string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(
		ctx, http.MethodPost, s.base.JoinPath(path).String(), bytes.NewReader(body),
	)
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", s.userAgent)
	if s.credential.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.credential.token)
	}
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		r := &refusal{}
		_ = json.Unmarshal(text, r) // a proxy's answer may be anything
		r.status = response.StatusCode
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
			r.retryAfter = min(time.Duration(seconds)*time.Second, maxBackoff)
		}
		return r
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}
