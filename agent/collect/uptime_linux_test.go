package collect

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/procfs"

	"github.com/snapwatch/snapwatch/internal/testlog"
)

// The uptime is the kernel's. It does not come from a boot time that moves when the clock is set.
func TestUptimeDoesNotDependOnTheClock(t *testing.T) {
	kernel := func() time.Duration {
		t.Helper()
		text, err := os.ReadFile("/proc/uptime")
		if err != nil {
			t.Fatal(err)
		}
		seconds, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(seconds * float64(time.Second))
	}
	r := newSystemReader(testlog.Logger())
	defer r.close()
	const precision = 10 * time.Millisecond // of /proc/uptime
	for _, refresh := range []bool{true, false} {
		before := kernel()
		m := r.read(t.Context(), Options{}, refresh)
		after := kernel()
		if m.UptimeMS == nil {
			t.Fatal("the uptime is unknown")
		}
		if up := time.Duration(*m.UptimeMS) * time.Millisecond; up < before-precision || up > after+precision {
			t.Errorf("the uptime is %s, want from %s to %s", up, before, after)
		}
	}
}

// A container of LXC has an uptime of its own in /proc/uptime.
func TestUptimeOfAContainer(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"":               0,
		"x 1":            0,
		"-3 1":           0,
		"7200.00 0.00\n": 0, // later than the kernel's clock: not an uptime
		"3599.50 9.00\n": 0, // the same, read a little earlier
		"600.00 9.00\n":  -50 * time.Minute,
	} {
		if got := containerOffset(text, time.Hour); got != want {
			t.Errorf("%q is %s from the time since boot, want %s", text, got, want)
		}
	}
	u := uptimeClock{offset: -procfs.SinceBoot() + time.Minute}
	if up := u.read(t.Context(), false); up < time.Minute || up > 2*time.Minute {
		t.Errorf("the uptime is %s, want about a minute", up)
	}
}
