package agent

import (
	"fmt"
	"log/slog"

	"github.com/snapwatch/snapwatch/agent/bpf"
	"github.com/snapwatch/snapwatch/agent/collect"
)

// Reader is a way to read processes on Linux.
type Reader string

const (
	// ReaderAuto uses BPF where the kernel and the permissions allow it, and otherwise /proc.
	ReaderAuto Reader = "auto"
	// ReaderBPF uses BPF. The agent does not start where that is not possible.
	ReaderBPF Reader = "bpf"
	// ReaderProc uses /proc, and taskstats for processes that end.
	ReaderProc Reader = "proc"
)

// readWithBPF is logged and reported if BPF is used.
const readWithBPF = "processes are read with BPF"

// openSampler returns a sampler that stores the boot time in stateDir.
func openSampler(cfg Config, stateDir string, logger *slog.Logger) (*collect.Sampler, error) {
	scrubber, err := cfg.scrubber()
	if err != nil {
		return nil, err
	}
	var kernel *bpf.Kernel
	if cfg.Reader != ReaderProc {
		kernel, err = bpf.Open()
		switch {
		case err == nil:
			logger.Info(readWithBPF)
		case cfg.Reader == ReaderBPF:
			return nil, fmt.Errorf("read processes with BPF: %w", err)
		default:
			logger.Info("processes are read from /proc: BPF cannot be used", "why", err)
		}
	}
	return collect.Open(stateDir, scrubber, kernel, logger)
}
