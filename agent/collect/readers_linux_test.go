package collect

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/bpf"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/snapshot"
)

// forEachReader runs a test with each way to read processes.
func forEachReader(t *testing.T, test func(t *testing.T, reader string)) {
	t.Helper()
	for _, reader := range []string{"proc", "bpf"} {
		t.Run(reader, func(t *testing.T) { test(t, reader) })
	}
}

// openReal returns a Sampler of this machine. It skips the test where BPF cannot be used; package bpf tests whether it
// should be possible.
func openReal(t testing.TB, reader, stateDir string) *Sampler {
	t.Helper()
	var kernel *bpf.Kernel
	if reader == "bpf" {
		var err error
		if kernel, err = bpf.Open(); err != nil {
			t.Skipf("BPF cannot be used here: %v", err)
		}
	}
	s, err := Open(stateDir, nil, kernel, nil, testlog.Logger())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// takeSample returns a sample of changes, with all values.
func takeSample(t *testing.T, s *Sampler) *Sample {
	t.Helper()
	one, err := s.Sample(t.Context(), time.Now(), OptionsOf(snapshot.Config{}), false)
	if err != nil {
		t.Fatal(err)
	}
	return one
}
