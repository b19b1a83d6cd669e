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

	"github.com/snapwatch/snapwatch/agent/collect"
	"github.com/snapwatch/snapwatch/agent/delivery"
	"github.com/snapwatch/snapwatch/internal/wake"
	"github.com/snapwatch/snapwatch/snapshot"
)

// secondAfter is the time between the first sample and the second. Values that are differences, such as CPU usage, are
// then available before the first interval is over.
const secondAfter = time.Second

// slowSample is the time after which a sample that is not complete is logged.
const slowSample = 10 * time.Second

// recorder takes a sample at each interval, encodes it, and queues the snapshot.
type recorder struct {
	sampler   *collect.Sampler
	queue     *delivery.Queue
	logger    *slog.Logger
	fullEvery time.Duration
	slowAfter time.Duration

	mu         sync.Mutex
	config     snapshot.Config
	configFile string // where Configure saves the config; empty for nowhere
	needFull   bool
	changed    wake.Signal

	watchdog   *watchdog    // nil for none
	multiplier atomic.Int64 // the watchdog's
	stats      stats

	encoder  snapshot.Encoder
	clock    collect.Clock
	previous snapshot.Time // timestamp of the previous snapshot; 0 for none
	lastFull snapshot.Time
}

func newRecorder(s *collect.Sampler, q *delivery.Queue, logger *slog.Logger, fullEvery time.Duration) *recorder {
	return &recorder{
		sampler:   s,
		queue:     q,
		logger:    logger,
		fullEvery: fullEvery,
		slowAfter: slowSample,
		config:    snapshot.DefaultConfig(),
		changed:   wake.New(),
	}
}

// restoreConfig applies the config in a file, and saves later ones there.
func (r *recorder) restoreConfig(file string) { r.config, r.configFile = loadConfig(file), file }

// Configure applies a config from the server.
func (r *recorder) Configure(config snapshot.Config) {
	config.PollingInterval = min(max(config.PollingInterval, snapshot.MinPollingInterval), snapshot.MaxPollingInterval)
	r.mu.Lock()
	same := r.config.Equal(config)
	if !slices.Equal(r.config.Exclude, config.Exclude) || !slices.Equal(r.config.Include, config.Include) ||
		collect.OptionsOf(r.config) != collect.OptionsOf(config) {
		r.needFull = true // changes would report processes that are now excluded as exited
	}
	r.config = config
	r.mu.Unlock()
	if same {
		return
	}
	if r.configFile != "" {
		if err := saveConfig(r.configFile, config); err != nil {
			r.logger.Warn("could not save the config for the next start", "err", err)
		}
	}
	r.logger.Info(
		"new config", "polling_interval", config.PollingInterval, "enabled", config.Enabled,
		"include", config.Include, "exclude", config.Exclude, "omit", config.Omit,
	)
	r.changed.Notify()
}

// Config returns the config that is in effect.
func (r *recorder) Config() snapshot.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.config
}

// RequestFull makes the next snapshot a full one, because the server lacks the snapshot that changes would build on.
func (r *recorder) RequestFull() {
	r.mu.Lock()
	r.needFull = true
	r.mu.Unlock()
}

// pace returns the time between two snapshots: the config's interval, made longer by the watchdog.
func (r *recorder) pace() time.Duration {
	interval := time.Duration(r.Config().PollingInterval * float64(time.Second))
	if multiplier := r.multiplier.Load(); multiplier > 1 {
		longest := time.Duration(snapshot.MaxPollingInterval * float64(time.Second))
		interval = min(interval*time.Duration(multiplier), longest)
	}
	return interval
}

// run records until ctx ends or the watchdog returns an error. Samples are taken at multiples of the interval from the
// last change of config, so that the duration of a sample does not delay the next ones.
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
			if !r.Config().Enabled {
				r.sampler.Reset()
				r.RequestFull()
			}
			timer.Reset(0)
			continue
		case <-timer.C:
		}
		interval := r.pace()
		step := interval
		if r.Config().Enabled {
			first, err := r.record(ctx, interval)
			if err != nil && ctx.Err() == nil {
				r.stats.failed.Add(1)
				r.logger.Error("could not take a sample", "err", err)
			}
			if first {
				step = min(step, secondAfter)
			}
		}
		if r.watchdog != nil {
			if err := r.watchdog.check(time.Now()); err != nil {
				return err
			}
			r.multiplier.Store(int64(r.watchdog.multiplier))
		}
		if next = next.Add(step); time.Until(next) < 0 {
			next = time.Now().Add(interval) // the machine was suspended, or is overloaded
		}
		timer.Reset(time.Until(next))
	}
}

// record takes one sample and queues a snapshot of it. first is true if there was no earlier sample to compare with.
func (r *recorder) record(ctx context.Context, interval time.Duration) (first bool, err error) {
	now := time.Now()
	stamp := r.clock.Stamp(now)
	at := stamp.At
	full := r.fullDue(at, interval)
	config := r.Config()
	slow := time.AfterFunc(r.slowAfter, func() {
		r.logger.Warn("a sample is taking long: the machine is overloaded, or a read blocks in the kernel",
			"for", r.slowAfter)
		r.stats.slow.Add(1)
	})
	defer slow.Stop()
	sample, err := r.sampler.Sample(ctx, now, collect.OptionsOf(config), full)
	if err != nil {
		return false, err
	}
	if len(config.Exclude) > 0 || len(config.Include) > 0 {
		excluded := func(p snapshot.Process) bool { return !config.RecordsProcess(p.Name) }
		sample.Processes = slices.DeleteFunc(sample.Processes, excluded)
		sample.Exited = slices.DeleteFunc(sample.Exited, excluded)
	}
	if stamp.Jump != 0 {
		sample.Machine.ClockJumpMS = new(stamp.Jump.Milliseconds())
		r.logger.Warn("the clock was set", "by", stamp.Jump)
	}
	if stamp.Suspended > 0 {
		r.logger.Info("the machine was suspended", "for", stamp.Suspended)
	}
	s := r.encode(sample, at, full)
	r.count(sample, time.Since(now))
	encoded, err := json.Marshal(s)
	if err != nil {
		return false, fmt.Errorf("encode a snapshot: %w", err)
	}
	dropped := r.queue.Add(delivery.Entry{Timestamp: s.Timestamp, Kind: s.Kind, JSON: encoded})
	r.logger.Debug("recorded", "timestamp", s.Timestamp.String(), "kind", s.Kind, "processes", len(s.Processes))
	if dropped > 0 {
		r.logger.Warn("the queue is full; dropped the oldest snapshots", "dropped", dropped)
		if waiting, _, _ := r.queue.Size(); waiting == 0 {
			r.RequestFull()
		}
	}
	return sample.Interval == 0, nil
}

// encode makes a snapshot of a sample: a full one, or the changes since the previous one.
func (r *recorder) encode(sample *collect.Sample, at snapshot.Time, full bool) *snapshot.Snapshot {
	s := &snapshot.Snapshot{
		Timestamp:  at,
		Kind:       snapshot.KindFull,
		IntervalMS: sample.Interval.Milliseconds(),
		Machine:    sample.Machine,
	}
	if s.IntervalMS > snapshot.MaxIntervalMS {
		s.IntervalMS = 0
	}
	if full || at <= r.previous {
		s.Processes = r.encoder.Full(sample.Processes, sample.Exited...)
		r.lastFull = at
	} else {
		s.Kind, s.Previous = snapshot.KindChanges, r.previous
		s.Processes, s.Exited = r.encoder.Changes(sample.Processes, sample.Exited...)
	}
	r.previous = at
	return s
}

// count updates the stats after a sample.
func (r *recorder) count(sample *collect.Sample, duration time.Duration) {
	r.stats.recorded.Add(1)
	r.stats.sampleNanos.Add(duration.Nanoseconds())
	r.stats.processes.Store(int64(len(sample.Processes)))
	r.stats.exited.Add(int64(len(sample.Exited)))
	r.stats.stale.Store(int64(len(sample.Machine.Stale)))
	if unseen := sample.Machine.UnseenProcesses; unseen != nil {
		r.stats.unseen.Add(*unseen)
	}
}

// fullDue reports whether the next snapshot must be a full one: the first one, one per fullEvery, after a gap, when the
// clock was set back, and on request.
func (r *recorder) fullDue(now snapshot.Time, interval time.Duration) bool {
	r.mu.Lock()
	requested := r.needFull
	r.needFull = false
	r.mu.Unlock()
	gap := now.Sub(r.previous)
	// Half an interval early is better than half an interval late.
	due := now.Sub(r.lastFull)+interval/2 >= r.fullEvery
	return requested || r.previous == 0 || due || gap <= 0 || gap > 3*interval+time.Second
}
