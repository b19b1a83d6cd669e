package collect

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/agenttest"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/snapshot"
)

// BenchmarkSample measures the CPU time of a whole sample per process: everything that the agent does before it
// encodes. One sample in twelve is for a full snapshot. procfs.BenchmarkReaders has the share of the process list.
func BenchmarkSample(b *testing.B) {
	processes := agenttest.StartProcesses(b, 500, 50)
	scrubber, err := procfs.NewScrubber(nil)
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(b.TempDir(), scrubber, testlog.Logger())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	n := 0
	agenttest.CPUPerProcess(b, processes, 200*time.Millisecond, func() {
		n++
		if _, err := s.Sample(b.Context(), time.Now(), OptionsOf(snapshot.Config{}), n%12 == 0); err != nil {
			b.Fatal(err)
		}
	})
}
