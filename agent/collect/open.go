package collect

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/snapwatch/snapwatch/agent/bpf"
	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
)

// Open returns a Sampler that reads this machine. It stores the boot time in stateDir. A nil scrubber leaves command
// lines unchanged. With a kernel, which the Sampler closes, the processes are read with BPF as long as that works; with
// nil, from /proc and taskstats.
func Open(
	stateDir string, scrubber *procfs.Scrubber, kernel *bpf.Kernel, logger *slog.Logger,
) (*Sampler, error) {
	users := procfs.NewUsers()
	reader, err := procfs.NewReader(stateDir, scrubber, users)
	if err != nil {
		if kernel != nil {
			kernel.Close()
		}
		return nil, fmt.Errorf("open the process list: %w", err)
	}
	sources := Sources{Processes: reader, Forks: procfs.Forks, SinceBoot: procfs.SinceBoot}
	fromTaskstats := func() (ExitSource, error) { return exits.Watch(scrubber, users) }
	if kernel == nil {
		sources.WatchExits = fromTaskstats
		return New(sources, logger), nil
	}
	p := &bpfProcesses{Reader: reader, kernel: kernel, logger: logger}
	reader.UseTasks(kernel)
	sources.Processes, sources.Failed, sources.Reader = p, p.failedNow, p.status
	sources.WatchExits = func() (ExitSource, error) {
		if p.failure.Load() != nil {
			return fromTaskstats()
		}
		return kernel.WatchExits(scrubber, users), nil
	}
	return New(sources, logger), nil
}

// bpfProcesses is a process list that is read with BPF until that fails.
type bpfProcesses struct {
	*procfs.Reader
	kernel      *bpf.Kernel
	logger      *slog.Logger
	failure     atomic.Pointer[string] // why BPF is not used any more; nil as long as it is
	differences atomic.Int64
}

// status returns how processes are read.
func (p *bpfProcesses) status() ReaderStatus {
	status := ReaderStatus{LostEvents: p.kernel.Lost(), Differences: p.differences.Load()}
	if failure := p.failure.Load(); failure != nil {
		status.Failure = *failure
	} else {
		status.BPF = true
	}
	return status
}

// failedNow returns a function if BPF has failed since the last call. It ends the processes that have exited, and
// removes the programs from the kernel.
func (p *bpfProcesses) failedNow() (release func()) {
	differences, err := p.TaskStatus()
	p.differences.Store(differences)
	if err == nil || p.failure.Load() != nil {
		return nil
	}
	p.failure.Store(new(err.Error()))
	p.logger.Warn("processes can no longer be read with BPF; they are read from /proc", "err", err)
	return func() {
		p.kernel.EndExited()
		p.kernel.Close()
	}
}

// Close closes the process list and the kernel's programs.
func (p *bpfProcesses) Close() {
	p.Reader.Close()
	p.kernel.Close()
}
