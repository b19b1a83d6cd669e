package collect

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/snapwatch/snapwatch/agent/bpf"
	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
)

// Open returns a Sampler that reads this machine. It stores the boot time in stateDir. A nil scrubber leaves command
// lines unchanged. With a kernel, which the Sampler closes, the processes are read with BPF while that works; with nil,
// from /proc and taskstats. If there is none because of a failure that can pass, BPF is tried again later.
func Open(
	stateDir string, scrubber *procfs.Scrubber, kernel *bpf.Kernel, failure error, logger *slog.Logger,
) (*Sampler, error) {
	users := procfs.NewUsers()
	reader, err := procfs.NewReader(stateDir, scrubber, users)
	if err != nil {
		if kernel != nil {
			kernel.Close()
		}
		return nil, fmt.Errorf("open the process list: %w", err)
	}
	sources := Sources{
		Processes: reader, Forks: procfs.Forks, SinceBoot: procfs.SinceBoot, Suspended: procfs.Suspended,
	}
	fromTaskstats := func() (ExitSource, error) { return exits.Watch(scrubber, users) }
	if kernel == nil && !bpf.CanPass(failure) {
		sources.WatchExits = fromTaskstats
		return New(sources, logger), nil
	}
	p := &bpfProcesses{Reader: reader, open: bpf.Open, now: time.Now, pause: minPause, logger: logger}
	if kernel != nil {
		p.use(kernel)
	} else {
		p.failure.Store(new(failure.Error()))
		p.postpone()
	}
	sources.Processes, sources.Changed, sources.Reader = p, p.changed, p.status
	sources.WatchExits = func() (ExitSource, error) {
		if kernel := p.kernel.Load(); kernel != nil {
			return kernel.WatchExits(scrubber, users), nil
		}
		return fromTaskstats()
	}
	return New(sources, logger), nil
}

const (
	// minPause is how long processes are read from /proc after BPF has failed, until it is tried again. The pause
	// doubles each time, up to maxPause. If BPF has worked for maxPause, it begins with minPause again.
	minPause = time.Minute
	maxPause = time.Hour
)

// bpfProcesses is a process list that is read with BPF. If that fails, it is read from /proc, and BPF is tried again
// later.
type bpfProcesses struct {
	*procfs.Reader
	open   func() (*bpf.Kernel, error)
	now    func() time.Time
	logger *slog.Logger

	pause   time.Duration // after the next failure
	retryAt time.Time     // if processes are read from /proc
	since   time.Time     // when BPF was last opened
	isNew   bool          // it was opened by this call of Read

	// These are read at any time.
	kernel                atomic.Pointer[bpf.Kernel] // nil if processes are read from /proc
	failure               atomic.Pointer[string]     // the last one
	differences, failures atomic.Int64
	lost                  atomic.Uint64 // events of earlier kernels
}

// use makes the reader use a kernel.
func (p *bpfProcesses) use(kernel *bpf.Kernel) {
	p.since = p.now()
	p.kernel.Store(kernel)
	p.UseTasks(kernel)
}

// status returns how processes are read.
func (p *bpfProcesses) status() ReaderStatus {
	status := ReaderStatus{
		LostEvents: p.lost.Load(), Differences: p.differences.Load(), Failures: p.failures.Load(),
	}
	if kernel := p.kernel.Load(); kernel != nil {
		status.BPF = true
		status.LostEvents += kernel.Lost()
	} else {
		status.Failure = *p.failure.Load()
	}
	return status
}

// Read lists the processes. It tries BPF again if that is due.
func (p *bpfProcesses) Read(ctx context.Context, options procfs.Options, refresh bool) ([]procfs.Process, error) {
	if p.kernel.Load() == nil && !p.now().Before(p.retryAt) {
		kernel, err := p.open()
		if err != nil {
			p.postpone()
			p.logger.Debug("processes can still not be read with BPF", "err", err)
		} else {
			p.isNew = true
			p.use(kernel)
		}
	}
	return p.Reader.Read(ctx, options, refresh)
}

// postpone sets when BPF is tried again.
func (p *bpfProcesses) postpone() {
	p.retryAt = p.now().Add(p.pause)
	p.pause = min(2*p.pause, maxPause)
}

// changed returns a function if processes are read in another way since the last call. After BPF has failed, the
// function ends the processes that have exited, and removes the programs from the kernel.
func (p *bpfProcesses) changed() (release func()) {
	differences, err := p.TaskStatus()
	p.differences.Store(differences)
	kernel, isNew := p.kernel.Load(), p.isNew
	p.isNew = false
	switch {
	case kernel == nil:
		return nil
	case err == nil && isNew:
		p.logger.Info("processes are now read with BPF")
		return func() {}
	case err == nil:
		return nil
	}
	if p.now().Sub(p.since) >= maxPause {
		p.pause = minPause
	}
	p.postpone()
	p.failure.Store(new(err.Error()))
	p.lost.Add(kernel.Lost())
	p.kernel.Store(nil)
	if isNew { // it has not worked at all, and nothing else uses it
		kernel.Close()
		return nil
	}
	p.failures.Add(1)
	p.logger.Warn("processes can no longer be read with BPF; they are read from /proc until it can be used again",
		"err", err)
	return func() {
		kernel.EndExited()
		kernel.Close()
	}
}

// Close closes the process list and the kernel's programs.
func (p *bpfProcesses) Close() {
	p.Reader.Close()
	if kernel := p.kernel.Load(); kernel != nil {
		kernel.Close()
	}
}
