package agent

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/snapshot"
)

// secondAfter is when the second sample follows the first: what is a difference
// of two samples, such as CPU usage, need not wait for a whole interval.
const secondAfter = time.Second

// recorder is the sampling loop: it samples at the interval that the server
// wants and queues what it saw.
type recorder struct {
	sampler   *sampler
	queue     *queue
	logger    *slog.Logger
	fullEvery time.Duration

	keep     func(snapshot.Config) // for the next start; nil for not at all
	mu       sync.Mutex
	config   snapshot.Config
	needFull bool
	changed  chan struct{}

	watchdog *watchdog    // nil for none
	stretch  atomic.Int64 // as the watchdog has it
	figures  figures

	encoder  snapshot.Encoder
	clock    clock
	previous snapshot.Time // the snapshot before, 0 for none
	lastFull snapshot.Time
}

func newRecorder(s *sampler, q *queue, logger *slog.Logger, fullEvery time.Duration) *recorder {
	return &recorder{
		sampler:   s,
		queue:     q,
		logger:    logger,
		fullEvery: fullEvery,
		config:    snapshot.DefaultConfig(),
		changed:   make(chan struct{}, 1),
	}
}

// configure obeys the server from now on.
func (r *recorder) configure(config snapshot.Config) {
	config.PollingInterval = min(max(config.PollingInterval, snapshot.MinPollingInterval), snapshot.MaxPollingInterval)
	r.mu.Lock()
	same := r.config.Equal(config)
	if !slices.Equal(r.config.Exclude, config.Exclude) || !slices.Equal(r.config.Include, config.Include) ||
		wantedBy(r.config) != wantedBy(config) {
		r.needFull = true // those that are left out from now on have not ended
	}
	r.config = config
	r.mu.Unlock()
	if same {
		return
	}
	if r.keep != nil {
		r.keep(config)
	}
	r.logger.Info(
		"new config", "polling_interval", config.PollingInterval, "enabled", config.Enabled,
		"include", config.Include, "exclude", config.Exclude, "omit", config.Omit,
	)
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *recorder) current() snapshot.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.config
}

// interval is the time between two snapshots.
func (r *recorder) interval() time.Duration {
	return time.Duration(r.current().PollingInterval * float64(time.Second))
}

// demandFull makes the next snapshot a full one: the server lacks what the
// changes rest on.
func (r *recorder) demandFull() {
	r.mu.Lock()
	r.needFull = true
	r.mu.Unlock()
}

// pace is the time between two snapshots that the watchdog leaves.
func (r *recorder) pace() time.Duration {
	interval := r.interval()
	if stretch := r.stretch.Load(); stretch > 1 {
		interval = min(interval*time.Duration(stretch), time.Duration(snapshot.MaxPollingInterval*float64(time.Second)))
	}
	return interval
}

// run samples until ctx ends, or the watchdog has enough of it. Ticks keep to a grid from the last change of
// config on, so that the time a sample takes does not add up.
func (r *recorder) run(ctx context.Context) error {
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.changed:
			next = time.Now()
			if !r.current().Enabled {
				r.sampler.forget()
				r.demandFull()
			}
			timer.Reset(0)
			continue
		case <-timer.C:
		}
		interval := r.pace()
		step := interval
		if r.current().Enabled {
			first, err := r.record(ctx, interval)
			if err != nil && ctx.Err() == nil {
				r.figures.failed.Add(1)
				r.logger.Error("a sample failed", "err", err)
			}
			if first {
				step = min(step, secondAfter)
			}
		}
		if r.watchdog != nil {
			if err := r.watchdog.look(time.Now()); err != nil {
				return err
			}
			r.stretch.Store(int64(r.watchdog.stretch))
		}
		if next = next.Add(step); time.Until(next) < 0 {
			next = time.Now().Add(interval) // the machine slept or is overloaded
		}
		timer.Reset(time.Until(next))
	}
}

// record takes one sample and queues it; first tells that it had none before it
// to compare with.
func (r *recorder) record(ctx context.Context, interval time.Duration) (first bool, err error) {
	now := time.Now()
	at, jump := r.clock.stamp(now)
	full := r.wantsFull(at, interval)
	config := r.current()
	taken, err := r.sampler.sample(ctx, now, wantedBy(config), full)
	if err != nil {
		return false, err
	}
	if len(config.Exclude) > 0 || len(config.Include) > 0 {
		hidden := func(p snapshot.Process) bool { return !config.RecordsProcess(p.Name) }
		taken.processes, taken.ended = slices.DeleteFunc(
			taken.processes, hidden,
		), slices.DeleteFunc(
			taken.ended, hidden,
		)
	}
	if jump != 0 {
		taken.machine.ClockJumpMS = new(jump.Milliseconds())
		r.logger.Warn("the clock was set, or the machine slept", "by", jump)
	}
	s := snapshot.Snapshot{
		Timestamp:  at,
		Kind:       snapshot.KindFull,
		IntervalMS: taken.interval.Milliseconds(),
		Machine:    taken.machine,
	}
	if s.IntervalMS > snapshot.MaxIntervalMS {
		s.IntervalMS = 0
	}
	if full || at <= r.previous {
		s.Processes = r.encoder.Full(taken.processes, taken.ended...)
		r.lastFull = at
	} else {
		s.Kind, s.Previous = snapshot.KindChanges, r.previous
		s.Processes, s.Exited = r.encoder.Changes(taken.processes, taken.ended...)
	}
	r.previous = at
	r.count(taken, time.Since(now))
	encoded, err := json.Marshal(&s)
	if err != nil {
		return false, fmt.Errorf("encode a snapshot: %w", err)
	}
	dropped := r.queue.add(queued{at: s.Timestamp, kind: s.Kind, json: encoded})
	r.logger.Debug("recorded", "timestamp", s.Timestamp.String(), "kind", s.Kind, "processes", len(s.Processes))
	if dropped > 0 {
		r.logger.Warn("the server is away for too long: snapshots were dropped", "dropped", dropped)
		if waiting, _, _ := r.queue.size(); waiting == 0 {
			r.demandFull()
		}
	}
	return taken.interval == 0, nil
}

// count notes what a sample had.
func (r *recorder) count(taken *sample, took time.Duration) {
	r.figures.recorded.Add(1)
	r.figures.sampleNanos.Add(took.Nanoseconds())
	r.figures.processes.Store(int64(len(taken.processes)))
	r.figures.ended.Add(int64(len(taken.ended)))
	if unseen := taken.machine.UnseenProcesses; unseen != nil {
		r.figures.unseen.Add(*unseen)
	}
}

// wantsFull says whether the next snapshot must list every process: the first,
// one a minute, after a gap, when the clock went back, and when the server asks.
func (r *recorder) wantsFull(now snapshot.Time, interval time.Duration) bool {
	r.mu.Lock()
	asked := r.needFull
	r.needFull = false
	r.mu.Unlock()
	gap := now.Sub(r.previous)
	// Half an interval early is better than half an interval late.
	due := now.Sub(r.lastFull)+interval/2 >= r.fullEvery
	return asked || r.previous == 0 || due || gap <= 0 || gap > 3*interval+time.Second
}
