package agent

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/agent/exits"
)

// checkVisibility reports which values of other users' processes the agent cannot read, and whether it can record the
// processes that start and exit between two samples.
func checkVisibility() Finding {
	f := checkIO()
	watcher, err := exits.Watch(nil)
	if err == nil {
		watcher.Close()
		f.Detail += "; processes that start and exit between two samples are recorded"
		return f
	}
	f.Detail += fmt.Sprintf("; processes that start and exit between two samples are only counted (%v)", err)
	if errors.Is(err, unix.EPERM) {
		const fix = "to record short-lived processes, run the agent on the host, not in a container, with CAP_NET_ADMIN"
		if f.Fix != "" {
			f.Fix += "; "
		}
		f.Fix += fix
	}
	return f
}

// checkIO reports for how many processes the agent cannot read I/O.
func checkIO() Finding {
	f := Finding{What: "permissions", OK: true}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return Finding{What: f.What, Detail: err.Error(), Fix: "mount /proc in the agent's environment"}
	}
	denied, all := 0, 0
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		all++
		if _, err := os.ReadFile("/proc/" + entry.Name() + "/io"); os.IsPermission(err) {
			denied++
		}
	}
	if denied == 0 {
		f.Detail = fmt.Sprintf("all values of all %d processes are available", all)
		return f
	}
	f.Detail = fmt.Sprintf("I/O is unavailable for %d of %d processes", denied, all)
	f.Fix = "to record I/O, give the agent CAP_SYS_PTRACE (AmbientCapabilities= in its unit), or run it as root"
	return f
}
