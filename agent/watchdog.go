package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/shirou/gopsutil/v3/process"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
)

// ErrMemory means that the agent has exceeded its memory limit for several minutes. The service manager should restart
// it. Unsent snapshots are on disk.
var ErrMemory = errors.New("the agent exceeds its memory limit")

// watchdog limits the load of the agent on the machine. Above the CPU limit the agent samples less often. Above the
// memory limit it stops, to be restarted.
type watchdog struct {
	maxCPU    float64 // percent of one core, over a minute; 0 for no limit
	maxMemory int64   // resident, in bytes; 0 for no limit
	usage     func() (cpu time.Duration, resident int64, err error)
	logger    *slog.Logger

	checked    time.Time     // time of the last check
	cpu        time.Duration // CPU time at the last check
	multiplier int           // the interval is multiplied by it
	overMemory int           // checks in a row above the memory limit
}

const (
	checkEvery    = time.Minute
	maxMultiplier = 64
	// memoryChecks is the number of checks in a row above the memory limit after which the agent stops.
	memoryChecks = 3
)

func newWatchdog(maxCPU float64, maxMemory int64, logger *slog.Logger) *watchdog {
	return &watchdog{maxCPU: maxCPU, maxMemory: maxMemory, usage: ownUsage, logger: logger, multiplier: 1}
}

// check compares the agent's usage with the limits, at most once a minute. It is called after each sample.
func (w *watchdog) check(now time.Time) error {
	if !w.checked.IsZero() && now.Sub(w.checked) < checkEvery {
		return nil
	}
	// A full snapshot leaves garbage whose memory the next one needs in a minute. Return it to the system until then.
	// This takes a millisecond.
	debug.FreeOSMemory()
	cpu, resident, err := w.usage()
	if err != nil {
		return nil //nolint:nilerr // without the usage there is nothing to compare
	}
	elapsed, spent := now.Sub(w.checked), cpu-w.cpu
	first := w.checked.IsZero()
	w.checked, w.cpu = now, cpu
	if !first && w.maxCPU > 0 {
		w.adjust(100 * spent.Seconds() / elapsed.Seconds())
	}
	if w.overMemory++; w.maxMemory == 0 || resident <= w.maxMemory {
		w.overMemory = 0
	}
	if w.overMemory >= memoryChecks {
		return fmt.Errorf("%w: it uses %d MiB, and the limit is %d MiB", ErrMemory, resident>>20, w.maxMemory>>20)
	}
	return nil
}

// adjust doubles the interval while the agent exceeds its CPU limit, and halves it when the usage is well below the
// limit.
func (w *watchdog) adjust(percent float64) {
	switch {
	case percent > w.maxCPU && w.multiplier < maxMultiplier:
		w.multiplier *= 2
		w.logger.Warn("the agent exceeds its CPU limit; sampling less often", "percent_of_a_core", percent,
			"limit", w.maxCPU, "times_the_interval", w.multiplier)
	case w.multiplier > 1 && percent < w.maxCPU/3:
		w.multiplier /= 2
		w.logger.Info("sampling more often again", "percent_of_a_core", percent, "times_the_interval", w.multiplier)
	}
}

// ownUsage returns the CPU time and the resident memory of this process.
func ownUsage() (cpu time.Duration, resident int64, err error) {
	own, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		return 0, 0, fmt.Errorf("find the agent's process: %w", err)
	}
	times, err := own.Times()
	if err != nil {
		return 0, 0, fmt.Errorf("read the agent's CPU time: %w", err)
	}
	memory, err := own.MemoryInfo()
	if err != nil {
		return 0, 0, fmt.Errorf("read the agent's memory: %w", err)
	}
	return time.Duration((times.User + times.System) * float64(time.Second)), clean.Counter(memory.RSS), nil
}
