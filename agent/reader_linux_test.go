package agent

import (
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/agent/bpf"
	"github.com/snapwatch/snapwatch/agent/collect"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/snapshot"
)

// The description of a machine says how its processes are read, and why not with BPF.
func TestReaderIsDescribed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status collect.ReaderStatus
		reason string
		want   snapshot.Machine
	}{
		"BPF": {collect.ReaderStatus{BPF: true}, "", snapshot.Machine{ProcessReader: "bpf"}},
		"not at all": {collect.ReaderStatus{}, "no BTF", snapshot.Machine{
			OwnProcessesOnly: true, ProcessReader: "proc", ProcessReaderReason: "no BTF",
		}},
		"not any more": {collect.ReaderStatus{Failure: "gone"}, "", snapshot.Machine{
			OwnProcessesOnly: true, ProcessReader: "proc", ProcessReaderReason: "gone",
		}},
		"a long reason": {collect.ReaderStatus{}, strings.Repeat("x", 1000), snapshot.Machine{
			OwnProcessesOnly: true, ProcessReader: "proc", ProcessReaderReason: strings.Repeat("x", 255),
		}},
	} {
		m := snapshot.Machine{OwnProcessesOnly: true}
		if describeReader(&m, test.status, test.reason); m != test.want {
			t.Errorf("%s: %+v, want %+v", name, m, test.want)
		}
	}
}

// With --reader=proc, BPF is not used, and the reason names the setting. Without a setting, it is used where possible.
func TestReaderIsASetting(t *testing.T) {
	kernel, failure := bpf.Open()
	if failure == nil {
		kernel.Close()
	}
	for reader, wantBPF := range map[Reader]bool{"": failure == nil, ReaderAuto: failure == nil, ReaderProc: false} {
		s, reason, err := openSampler(Config{Reader: reader}, t.TempDir(), testlog.Logger())
		if err != nil {
			t.Fatal(err)
		}
		status := s.Reader()
		s.Close()
		if status.BPF != wantBPF || strings.Contains(reason, "--reader=proc") != (reader == ReaderProc) {
			t.Errorf("%q: %+v, because %q", reader, status, reason)
		}
	}
}
