package agent

import (
	"errors"
	"testing"
	"time"
)

func TestWatchdogOnCPU(t *testing.T) {
	now := time.Unix(1000, 0)
	var cpu time.Duration
	w := newWatchdog(10, 0, quiet())
	w.usage = func() (time.Duration, int64, error) { return cpu, 0, nil }
	minute := func(percent float64) int {
		now = now.Add(time.Minute)
		cpu += time.Duration(percent / 100 * float64(time.Minute))
		if err := w.look(now); err != nil {
			t.Fatal(err)
		}
		return w.stretch
	}
	for i, step := range []struct {
		percent float64
		want    int
	}{{90, 1}, {9, 1}, {11, 2}, {11, 4}, {9, 4}, {4, 4}, {3, 2}, {2, 1}, {0, 1}} { // what was before the first look does not count
		if got := minute(step.percent); got != step.want {
			t.Errorf("step %d: %d times the interval, want %d", i, got, step.want)
		}
	}
	for range 20 {
		minute(100)
	}
	if w.stretch != maxStretch {
		t.Errorf("%d times the interval at the most, want %d", w.stretch, maxStretch)
	}
	if cpu += time.Hour; w.look(now.Add(time.Second)) != nil || w.cpu == cpu {
		t.Error("it looks more often than once a minute")
	}
}

func TestWatchdogOnMemory(t *testing.T) {
	now := time.Unix(1000, 0)
	w := newWatchdog(0, 100, quiet())
	resident := int64(0)
	w.usage = func() (time.Duration, int64, error) { return 0, resident, nil }
	minute := func(r int64) error {
		now, resident = now.Add(time.Minute), r
		return w.look(now)
	}
	for _, r := range []int64{100, 101, 101, 100, 101, 101} {
		if err := minute(r); err != nil {
			t.Fatalf("at %d: %v", r, err)
		}
	}
	if err := minute(101); !errors.Is(err, ErrMemory) {
		t.Errorf("after three looks at too much: %v", err)
	}
}

func TestOwnUsage(t *testing.T) {
	cpu, resident, err := ownUsage()
	if err != nil || cpu <= 0 || resident < 1<<20 {
		t.Error(cpu, resident, err)
	}
}
