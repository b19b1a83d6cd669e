package agent

import (
	"cmp"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/snapwatch/snapwatch/agent/bpf"
	"github.com/snapwatch/snapwatch/agent/collect"
	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/snapshot"
)

// Reader is a way to read processes on Linux.
type Reader string

const (
	// ReaderAuto uses BPF where the kernel and the permissions allow it, and otherwise /proc.
	ReaderAuto Reader = "auto"
	// ReaderBPF uses BPF. The agent does not start where that is not possible.
	ReaderBPF Reader = snapshot.ReaderBPF
	// ReaderProc uses /proc, and taskstats for processes that end.
	ReaderProc Reader = snapshot.ReaderProc
)

// triesBPF reports whether BPF is used if that is possible.
func (r Reader) triesBPF() bool { return r != ReaderProc }

// readWithBPF is logged and reported if BPF is used.
const readWithBPF = "processes are read with BPF"

// openSampler returns a sampler that stores the boot time in stateDir. If it does not use BPF, reason says why.
func openSampler(
	cfg Config, stateDir string, logger *slog.Logger,
) (sampler *collect.Sampler, reason string, err error) {
	scrubber, err := cfg.scrubber()
	if err != nil {
		return nil, "", err
	}
	var kernel *bpf.Kernel
	var failure error
	if !cfg.Reader.triesBPF() {
		reason = "the agent runs with --reader=proc"
	} else {
		kernel, failure = bpf.Open()
		switch {
		case failure == nil:
			logger.Info(readWithBPF)
		case cfg.Reader == ReaderBPF:
			return nil, "", fmt.Errorf("read processes with BPF: %w", failure)
		default:
			reason = failure.Error()
			logger.Info("processes are read from /proc: BPF cannot be used", "why", failure)
		}
	}
	sampler, err = collect.Open(stateDir, scrubber, kernel, failure, logger)
	return sampler, reason, err
}

// describeReader adds how processes are read to the description of a machine. reason says why BPF is not used from the
// start.
func describeReader(m *snapshot.Machine, status collect.ReaderStatus, reason string) {
	switch {
	case runtime.GOOS != "linux":
	case status.BPF:
		m.ProcessReader, m.ProcessReaderReason = snapshot.ReaderBPF, ""
		m.OwnProcessesOnly = false // BPF does not depend on how /proc is mounted
	default:
		m.ProcessReader = snapshot.ReaderProc
		m.ProcessReaderReason = clean.Text(cmp.Or(status.Failure, reason), snapshot.MaxTextBytes)
	}
}
