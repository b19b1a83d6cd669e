package agent

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// examineSight tells what of other users' processes cannot be seen, and whether those that
// begin and end between two snapshots can.
func examineSight() Finding {
	f := examineIO()
	exits, err := watchExits(nil)
	if err == nil {
		exits.close()
		f.Detail += "; processes between two snapshots are recorded too"
		return f
	}
	f.Detail += fmt.Sprintf("; processes that begin and end between two snapshots are counted, not recorded (%v)", err)
	if errors.Is(err, unix.EPERM) {
		f.Fix = strings.TrimPrefix(
			f.Fix+"; to be told of those in between takes CAP_NET_ADMIN, and to run on the machine itself, not in a container",
			"; ",
		)
	}
	return f
}

func examineIO() Finding {
	f := Finding{What: "permissions", OK: true}
	hidden, all := 0, 0
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return Finding{What: f.What, Detail: err.Error(), Fix: "mount /proc where the agent runs"}
	}
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		all++
		if _, err := os.ReadFile("/proc/" + entry.Name() + "/io"); os.IsPermission(err) {
			hidden++
		}
	}
	if hidden == 0 {
		f.Detail = fmt.Sprintf("everything of all %d processes can be read", all)
		return f
	}
	f.Detail = fmt.Sprintf("of %d of %d processes, what they read and write stays unknown", hidden, all)
	f.Fix = "if that matters, let the agent have CAP_SYS_PTRACE (AmbientCapabilities= in its unit), or run it as root"
	return f
}
