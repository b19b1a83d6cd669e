package agent

import (
	"errors"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testlog"
)

func TestWatchdogOnCPU(t *testing.T) {
	now := time.Unix(1000, 0)
	var cpu time.Duration
	w := newWatchdog(10, 0, testlog.Logger())
	w.usage = func() (time.Duration, int64, error) { return cpu, 0, nil }
	minute := func(percent float64) int {
		now = now.Add(time.Minute)
		cpu += time.Duration(percent / 100 * float64(time.Minute))
		if err := w.check(now); err != nil {
			t.Fatal(err)
		}
		return w.multiplier
	}
	// The first check has nothing to compare with.
	for i, step := range []struct {
		percent float64
		want    int
	}{{90, 1}, {9, 1}, {11, 2}, {11, 4}, {9, 4}, {4, 4}, {3, 2}, {2, 1}, {0, 1}} {
		if got := minute(step.percent); got != step.want {
			t.Errorf("step %d: the multiplier is %d, want %d", i, got, step.want)
		}
	}
	for range 20 {
		minute(100)
	}
	if w.multiplier != maxMultiplier {
		t.Errorf("the multiplier is %d at most, want %d", w.multiplier, maxMultiplier)
	}
	if cpu += time.Hour; w.check(now.Add(time.Second)) != nil || w.cpu == cpu {
		t.Error("it checks more often than once a minute")
	}
}

func TestWatchdogOnMemory(t *testing.T) {
	now := time.Unix(1000, 0)
	w := newWatchdog(0, 100, testlog.Logger())
	resident := int64(0)
	w.usage = func() (time.Duration, int64, error) { return 0, resident, nil }
	minute := func(r int64) error {
		now, resident = now.Add(time.Minute), r
		return w.check(now)
	}
	for _, r := range []int64{100, 101, 101, 100, 101, 101} {
		if err := minute(r); err != nil {
			t.Fatalf("at %d: %v", r, err)
		}
	}
	if err := minute(101); !errors.Is(err, ErrMemory) {
		t.Errorf("after three checks above the limit: %v", err)
	}
}

func TestOwnUsage(t *testing.T) {
	cpu, resident, err := ownUsage()
	if err != nil || cpu <= 0 || resident < 1<<20 {
		t.Error(cpu, resident, err)
	}
}
