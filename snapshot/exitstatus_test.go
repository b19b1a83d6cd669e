package snapshot_test

import (
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// The exit status of a process survives the wire, and 0 is not the same as an unknown exit code.
func TestExitStatusOnTheWire(t *testing.T) {
	for _, test := range []struct {
		name   string
		status snapshot.ExitStatus
		fields string // in the sample
	}{
		{"exit code 0", snapshot.ExitStatusOf(0), `"exit_code":0`},
		{"exit code 255", snapshot.ExitStatusOf(255 << 8), `"exit_code":255`},
		{"SIGKILL", snapshot.ExitStatusOf(9), `"exit_signal":9`},
		{"SIGSEGV with a core dump", snapshot.ExitStatusOf(11 | 0x80), `"exit_signal":11`},
		{"unknown", snapshot.ExitStatus{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			ended := process(7, 1, 0)
			ended.Name, ended.State, ended.Exit = "a", snapshot.StateEnded, test.status
			var encoder snapshot.Encoder
			full := snapshot.Snapshot{Timestamp: 1000, Processes: encoder.Full(nil, ended)}
			body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: "m", Snapshots: []snapshot.Snapshot{full}})
			if err != nil {
				t.Fatal(err)
			}
			fields := test.fields
			if fields != "" {
				fields = "," + fields
			}
			if want := `"state":"X"` + fields + "}"; !strings.Contains(string(body), want) {
				t.Errorf("the body is %s, want %s", body, want)
			}
			batch, err := snapshot.DecodeBatch(body)
			if err != nil {
				t.Fatal(err)
			}
			if got := batch.Snapshots[0].Processes[0].ExitStatus; !snapshottest.SameExit(got, test.status) {
				t.Errorf("decoded %s", body)
			}
			if got := test.status.HasExitStatus(); got != (test.fields != "") {
				t.Errorf("it is known: %t", got)
			}
		})
	}
}
