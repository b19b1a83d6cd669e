package collect

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/host"

	"github.com/snapwatch/snapwatch/agent/procfs"
)

// uptimeClock reads how long the machine has been up, with the time in which it was suspended. It does not depend on
// the machine's clock.
type uptimeClock struct {
	offset time.Duration // of the machine's uptime from the time since boot
}

// read returns the uptime, or 0 if it is unknown. With refresh it checks whether this is a container with an uptime of
// its own, as LXC has: its /proc/uptime differs from the kernel's clock.
func (u *uptimeClock) read(ctx context.Context, refresh bool) time.Duration {
	sinceBoot := procfs.SinceBoot()
	if sinceBoot == 0 { // not Linux
		seconds, err := host.UptimeWithContext(ctx)
		if err != nil {
			return 0
		}
		return time.Duration(seconds) * time.Second
	}
	if refresh {
		u.offset = 0
		text, err := os.ReadFile("/proc/uptime")
		if err == nil {
			u.offset = containerOffset(string(text), sinceBoot)
		}
	}
	return sinceBoot + u.offset
}

// containerOffset returns how far the content of /proc/uptime is from the time since boot, or 0 if it agrees.
func containerOffset(text string, sinceBoot time.Duration) time.Duration {
	first, _, _ := strings.Cut(text, " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil || seconds <= 0 || seconds > sinceBoot.Seconds() {
		return 0
	}
	offset := time.Duration(seconds*float64(time.Second)) - sinceBoot
	if offset > -5*time.Second { // the two readings are not at the same time
		return 0
	}
	return offset
}
