package snapshot_test

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

func TestCountEntries(t *testing.T) {
	t.Parallel()
	batch := func(entries string) []byte {
		return []byte(
			`{"machine_id":"m","snapshots":[{"timestamp":"2026-11-24T00:00:00Z","processes":[` + entries + `]}]}`,
		)
	}
	process := `{"pid":1,"ppid":0,"name":"a"}`
	braces := `{"pid":1,"ppid":0,"name":"a","command_line":"` + strings.Repeat("{", 1000) + `"}`
	nested := `{"x":` + strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000) + `,"snapshots":[`
	many := func(one string, n int) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	for name, test := range map[string]struct {
		body    []byte
		tooMany bool
	}{
		"few":                       {batch(many(process, 10)), false},
		"braces in texts":           {batch(many(braces, 1000)), false},
		"the maximum":               {batch(many(`{}`, snapshot.MaxEntries-1)), false}, // and the snapshot
		"one more than the maximum": {batch(many(`{}`, snapshot.MaxEntries)), true},
		"too many nulls":            {batch(many(`null`, snapshot.MaxEntries)), true},
		"a million":                 {batch(many(process, 1_000_000)), true},
		"malformed JSON":            {append([]byte(`{"snapshots":[}`), many(`{}`, snapshot.MaxEntries+1)...), false},
		"nested":                    {[]byte(nested + many(`{}`, snapshot.MaxEntries+1) + `]}`), true},
	} {
		n, err := snapshot.CountEntries(test.body)
		invalid, rejected := errors.AsType[*snapshot.ValidationError](err)
		if rejected != test.tooMany ||
			rejected && (invalid.Code != snapshot.CodeTooMany || invalid.Limit != snapshot.MaxEntries) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	series := snapshottest.NewMachine(1, 300).Series(1_700_000_000_000, 5, 1000, 2)
	body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: "m", Snapshots: series.Snapshots})
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for i := range series.Snapshots {
		want += 1 + len(series.Snapshots[i].Processes) + len(series.Snapshots[i].Exited)
	}
	if n, err := snapshot.CountEntries(body); err != nil || n < want {
		t.Errorf("%d entries were counted as %d (%v)", want, n, err)
	}
	if size := unsafe.Sizeof(snapshot.ProcessSample{}); size+8*8 > snapshot.DecodedEntryBytes {
		t.Errorf("a process uses %d bytes and up to 64 for its numbers, more than DecodedEntryBytes", size)
	}
}

func BenchmarkCountEntries(b *testing.B) {
	series := snapshottest.NewMachine(1, 300).Series(1_700_000_000_000, 10, 1000, 1)
	body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: "m", Snapshots: series.Snapshots})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := snapshot.CountEntries(body); err != nil {
			b.Fatal(err)
		}
	}
}
