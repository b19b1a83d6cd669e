package agent

import (
	"strings"
	"testing"

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

// Without another setting, BPF is not used, and the reason names the setting.
func TestReaderIsASetting(t *testing.T) {
	for _, reader := range []Reader{"", ReaderProc} {
		s, reason, err := openSampler(Config{Reader: reader}, t.TempDir(), testlog.Logger())
		if err != nil {
			t.Fatal(err)
		}
		if s.Close(); s.Reader().BPF || !strings.Contains(reason, "--reader=auto") {
			t.Errorf("%+v, because %q", s.Reader(), reason)
		}
	}
}
