package agent

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/agent/bpf"
	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
)

// checkVisibility reports which values of other users' processes the agent cannot read, and whether it can record the
// processes that start and exit between two samples. withBPF is true if processes are read with BPF.
func checkVisibility(withBPF bool) Finding {
	f := checkIO(withBPF)
	if !f.OK {
		return f
	}
	err := watchesExits(withBPF)
	if err == nil {
		f.Detail += "; processes that start and exit between two samples are recorded"
		return f
	}
	f.Detail += fmt.Sprintf("; processes that start and exit between two samples are only counted (%v)", err)
	if errors.Is(err, unix.EPERM) {
		if f.Hint != "" {
			f.Hint += "; "
		}
		f.Hint += "to record short-lived processes, give the agent CAP_BPF and CAP_PERFMON, or CAP_NET_ADMIN, and in " +
			"a container also the machine's pid and network namespaces (pid: host and network_mode: host in Docker " +
			"Compose)"
	}
	return f
}

// watchesExits returns why the agent cannot record processes that start and exit between two samples.
func watchesExits(withBPF bool) error {
	if withBPF {
		return nil
	}
	watcher, err := exits.Watch(nil, procfs.NewUsers())
	if err == nil {
		watcher.Close()
	}
	return err
}

// checkReader reports whether processes are read with BPF, and why not.
func checkReader(reader Reader) Finding {
	f := Finding{What: "reader", OK: true}
	if !reader.triesBPF() {
		f.Detail = "processes are read from /proc, because of --reader=proc"
		return f
	}
	kernel, err := bpf.Open()
	if err == nil {
		kernel.Close()
		f.Detail = readWithBPF
		return f
	}
	f.Detail = fmt.Sprintf("processes are read from /proc, because BPF cannot be used: %v", err)
	if f.OK = reader != ReaderBPF; !f.OK {
		f.Fix = "set --reader=auto, so that the agent starts without BPF"
	}
	if errors.Is(err, unix.EPERM) {
		f.Hint = "to read processes with BPF, which takes less CPU time and is more exact, give the agent CAP_BPF " +
			"and CAP_PERFMON (AmbientCapabilities= in its unit, cap_add in Docker Compose)"
	}
	return f
}

// checkIO reports for how many processes the agent cannot read I/O, or other values.
func checkIO(withBPF bool) Finding {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return Finding{What: "permissions", Detail: err.Error(), Fix: "mount /proc in the agent's environment"}
	}
	denied, all := 0, 0
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		all++
		if withBPF {
			continue
		}
		if _, err := os.ReadFile("/proc/" + entry.Name() + "/io"); os.IsPermission(err) {
			denied++
		}
	}
	if option := procfs.HiddenProcesses(); option != "" {
		return hiddenFinding(option, withBPF)
	}
	return ioFinding(denied, all, readsAnyProcess(), os.Geteuid() == 0)
}

// hiddenFinding returns the finding for an agent to which a mount option of /proc hides other users' processes.
func hiddenFinding(option string, withBPF bool) Finding {
	const fix = "give the agent CAP_SYS_PTRACE (AmbientCapabilities= in its unit, cap_add in Docker Compose), or " +
		"mount /proc without hidepid"
	if withBPF {
		return Finding{
			What: "permissions", OK: true, Hint: fix,
			Detail: "command lines and control groups of other users' processes are not visible: /proc is mounted " +
				"with " + option,
		}
	}
	return Finding{
		What:   "permissions",
		Detail: "only your own processes are visible: /proc is mounted with " + option,
		Fix:    fix,
	}
}

// ioFinding returns the finding for an agent that cannot read the I/O of some processes. capable is true if it has the
// capabilities for it.
func ioFinding(denied, all int, capable, root bool) Finding {
	f := Finding{What: "permissions", OK: true}
	if denied == 0 {
		f.Detail = fmt.Sprintf("all values of all %d processes are available", all)
		return f
	}
	f.Detail = fmt.Sprintf("I/O is unavailable for %d of %d processes", denied, all)
	switch {
	case capable: // no permission is missing
		f.Detail += ", which are in another user namespace or protected by a security module"
	case root:
		f.Hint = "to record I/O, give the agent CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH (cap_add in Docker Compose)"
	default:
		f.Hint = "to record I/O, give the agent CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH (AmbientCapabilities= in its " +
			"unit), or run it as root"
	}
	return f
}

// readsAnyProcess reports whether this process has the capabilities to read the I/O of other users' processes.
func readsAnyProcess() bool {
	return procfs.HasCapabilities(unix.CAP_SYS_PTRACE) && (procfs.HasCapabilities(unix.CAP_DAC_READ_SEARCH) ||
		procfs.HasCapabilities(unix.CAP_DAC_OVERRIDE))
}
