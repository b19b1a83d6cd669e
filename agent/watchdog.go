package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/shirou/gopsutil/v3/process"
)

// ErrMemory says that the agent takes more memory than it may, for longer than a moment.
// What waits is on disk: whoever runs the agent starts it again.
var ErrMemory = errors.New("the agent takes more memory than it may")

// watchdog keeps the agent from being a burden: beyond its share of CPU it samples less
// often, beyond its memory it ends, to be started again.
type watchdog struct {
	maxCPU    float64 // percent of one core, over a minute; 0 for no bound
	maxMemory int64   // bytes resident; 0 for no bound
	usage     func() (cpu time.Duration, resident int64, err error)
	logger    *slog.Logger

	since   time.Time
	cpu     time.Duration
	stretch int // the interval is this many times as long
	over    int // checks in a row with too much memory
}

const (
	watchEvery = time.Minute
	maxStretch = 64
	// memoryChecks is how many checks in a row too much memory takes to be too much.
	memoryChecks = 3
)

func newWatchdog(maxCPU float64, maxMemory int64, logger *slog.Logger) *watchdog {
	return &watchdog{maxCPU: maxCPU, maxMemory: maxMemory, usage: ownUsage, logger: logger, stretch: 1}
}

// look is called after each sample; now and then it looks at what the agent takes.
func (w *watchdog) look(now time.Time) error {
	if !w.since.IsZero() && now.Sub(w.since) < watchEvery {
		return nil
	}
	// A full snapshot leaves garbage behind that the next will take again in a minute: until
	// then the machine may have it. This takes a millisecond.
	debug.FreeOSMemory()
	cpu, resident, err := w.usage()
	if err != nil {
		return nil //nolint:nilerr // a system that does not tell is not guarded
	}
	elapsed, spent := now.Sub(w.since), cpu-w.cpu
	first := w.since.IsZero()
	w.since, w.cpu = now, cpu
	if !first && w.maxCPU > 0 {
		w.pace(100 * spent.Seconds() / elapsed.Seconds())
	}
	if w.over++; w.maxMemory == 0 || resident <= w.maxMemory {
		w.over = 0
	}
	if w.over >= memoryChecks {
		return fmt.Errorf("%w: %d MiB of %d", ErrMemory, resident>>20, w.maxMemory>>20)
	}
	return nil
}

// pace samples half as often while the agent takes too much CPU, and twice as often again
// once there is room for that.
func (w *watchdog) pace(percent float64) {
	switch {
	case percent > w.maxCPU && w.stretch < maxStretch:
		w.stretch *= 2
		w.logger.Warn(
			"the agent takes more CPU than it may, and samples less often", "percent_of_a_core", percent,
			"limit", w.maxCPU, "times_the_interval", w.stretch,
		)
	case w.stretch > 1 && percent < w.maxCPU/3:
		w.stretch /= 2
		w.logger.Info(
			"the agent samples more often again", "percent_of_a_core", percent, "times_the_interval", w.stretch,
		)
	}
}

// ownUsage asks the system what this process takes.
func ownUsage() (cpu time.Duration, resident int64, err error) {
	own, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		return 0, 0, fmt.Errorf("look at the agent itself: %w", err)
	}
	times, err := own.Times()
	if err != nil {
		return 0, 0, fmt.Errorf("look at the agent's CPU time: %w", err)
	}
	memory, err := own.MemoryInfo()
	if err != nil {
		return 0, 0, fmt.Errorf("look at the agent's memory: %w", err)
	}
	return time.Duration((times.User + times.System) * float64(time.Second)), signed(memory.RSS), nil
}
