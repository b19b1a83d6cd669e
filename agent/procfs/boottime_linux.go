package procfs

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/agent/internal/statefile"
	"github.com/snapwatch/snapwatch/agent/procevents"
	"github.com/snapwatch/snapwatch/snapshot"
)

// bootTimes converts the start times of processes, which the kernel counts in ticks since boot, to the machine's clock.
//
// The time of the boot, by that clock, moves when the clock is set. Start times are part of the identity of processes,
// so those of running processes must not move with it. A process therefore keeps the start time by the clock that was
// valid when it started. The boot times are stored, so that start times do not change when the agent restarts.
//
// A clock that is set by more than snapshot.MaxClockSkew was wrong before, as on a machine without a battery-backed
// clock. Then all start times follow it, as the timestamps of snapshots do.
type bootTimes struct {
	path  string // of the stored boot times; empty for none
	id    string // of this boot
	steps []bootStep
	// listed is when processes were listed last, in ticks since boot.
	listed int64
	stored bool // steps are stored
}

// bootStep is the time of the boot for the processes that started at fromTicks or later, in milliseconds since 1970.
type bootStep struct{ fromTicks, bootMS int64 }

const (
	// minClockStep is the smallest change of the clock that start times follow. Hypervisors correct clocks often.
	minClockStep = 100 * time.Millisecond
	// maxBootSteps bounds the boot times that are kept. Beyond it, the oldest processes follow the second boot time.
	maxBootSteps = 100
)

// SinceBoot returns the time since the machine booted. It includes the time in which the machine was suspended, and
// does not change when the clock is set. It is the clock of StartTicks.
func SinceBoot() time.Duration {
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return 0 // no supported kernel lacks this clock
	}
	return time.Duration(boot.Nano())
}

// Suspended returns for how long the machine has been suspended since it booted.
func Suspended() time.Duration { return max(SinceBoot()-procevents.Monotonic(), 0) }

// readClocks returns the time since boot, and the time of the boot by the machine's clock. It repeats a reading that
// was interrupted.
func readClocks() (sinceBoot time.Duration, boot time.Time) {
	shortest := time.Duration(math.MaxInt64)
	for range 5 {
		before := SinceBoot()
		wall := time.Now()
		took := SinceBoot() - before
		if took < shortest {
			shortest, sinceBoot, boot = took, before, wall.Add(-before-took/2)
		}
		if took < 50*time.Microsecond {
			break
		}
	}
	return sinceBoot, boot
}

// fixedBootTime returns boot times that never change.
func fixedBootTime(bootMS int64) bootTimes {
	return bootTimes{steps: []bootStep{{bootMS: bootMS}}, stored: true}
}

// openBootTimes returns the boot times of this boot that are stored in stateDir, updated to the clock.
func openBootTimes(root, stateDir string, sinceBoot time.Duration, boot time.Time) (bootTimes, error) {
	b := bootTimes{listed: ticksOf(sinceBoot)}
	if b.id = bootID(root); b.id != "" {
		// Without an id, start times change if the clock is set and the agent restarts.
		b.path = filepath.Join(stateDir, "boot")
		b.steps = storedBootTimes(b.path, b.id)
		b.stored = len(b.steps) > 0
	}
	b.update(boot)
	if err := b.store(); err != nil {
		return b, err
	}
	return b, nil
}

// BootID returns the kernel's random id of this boot, or "" if it cannot be read.
func BootID() string { return bootID("/proc") }

func bootID(root string) string {
	id, err := os.ReadFile(filepath.Join(root, "sys/kernel/random/boot_id"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// update follows a change of the clock. boot is the time of the boot by the clock now. moved is true if the start times
// of processes have changed that were listed before.
func (b *bootTimes) update(boot time.Time) (moved bool) {
	bootMS := boot.UnixMilli()
	if len(b.steps) == 0 {
		b.steps = []bootStep{{bootMS: bootMS}}
		b.stored = false
		return true
	}
	newest := &b.steps[len(b.steps)-1]
	change := time.Duration(bootMS-newest.bootMS) * time.Millisecond
	if change.Abs() < minClockStep {
		return false
	}
	b.stored = false
	if change.Abs() > snapshot.MaxClockSkew {
		b.steps = []bootStep{{bootMS: bootMS}}
		return true
	}
	from := b.listed + 1
	if newest.fromTicks == from { // nothing was listed since the clock was set before
		newest.bootMS = bootMS
		return false
	}
	b.steps = append(b.steps, bootStep{from, bootMS})
	if len(b.steps) <= maxBootSteps {
		return false
	}
	b.steps = b.steps[1:]
	b.steps[0].fromTicks = 0
	return true
}

// startedAt returns the start time of a process, or 0 if it is not after 1970, which means unknown.
func (b *bootTimes) startedAt(ticks int64) snapshot.Time {
	i := len(b.steps) - 1
	for i > 0 && b.steps[i].fromTicks > ticks {
		i--
	}
	return max(snapshot.Time(b.steps[i].bootMS+ticks*1000/ticksPerSecond), 0)
}

// store stores the boot times if they have changed.
func (b *bootTimes) store() error {
	if b.stored || b.path == "" {
		return nil
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s %d\n", b.id, b.steps[0].bootMS)
	for _, step := range b.steps[1:] {
		fmt.Fprintf(&text, "%d %d\n", step.fromTicks, step.bootMS)
	}
	if err := statefile.Write(b.path, text.String()); err != nil {
		return fmt.Errorf("store the boot time: %w", err)
	}
	b.stored = true
	return nil
}

// storedBootTimes returns the boot times in a file if the file is of the boot with the given id. Its first line has the
// id and a boot time. Each further line has the ticks from which another boot time applies.
func storedBootTimes(path, bootID string) []bootStep {
	text, err := statefile.Read(path)
	if err != nil {
		return nil
	}
	id, rest, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if id != bootID {
		return nil
	}
	var steps []bootStep
	for line := range strings.Lines("0 " + rest) {
		var step bootStep
		if _, err := fmt.Sscan(line, &step.fromTicks, &step.bootMS); err != nil {
			return nil
		}
		if n := len(steps); n > 0 && step.fromTicks <= steps[n-1].fromTicks || n == maxBootSteps {
			return nil
		}
		steps = append(steps, step)
	}
	return steps
}

// ticksOf returns a time since boot in ticks.
func ticksOf(sinceBoot time.Duration) int64 { return int64(sinceBoot / (time.Second / ticksPerSecond)) }
