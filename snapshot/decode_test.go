package snapshot_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

const goodBody = `{"machine_id":"m-1","snapshots":[
 {"timestamp":"2026-11-23T03:12:00.123Z",
  "machine_snapshot":{"cpu_usage":12.5,"disks":[{"mount":"/"}],"interfaces":[{"name":"eth0"}]},
  "processes":[{"pid":1,"ppid":0,"name":"init"},
   {"pid":2,"ppid":1,"name":"sh","started_at":"2026-11-22T03:12:00.1+01:00","cpu_ms":2.534,"newer_field":true}]},
 {"timestamp":"2026-11-23T03:12:05Z","kind":"changes","processes":[{"pid":1,"cpu_ms":3}],
  "exited":[{"pid":2,"started_at":"2026-11-22T02:12:00.100Z"}]}]}`

func TestDecodeBatch(t *testing.T) {
	batch, err := snapshot.DecodeBatch([]byte(goodBody))
	if err != nil {
		t.Fatal(err)
	}
	first, second := batch.Snapshots[0], batch.Snapshots[1]
	if first.Kind != snapshot.KindFull || first.Timestamp.String() != "2026-11-23T03:12:00.123Z" {
		t.Errorf("the first snapshot is %s at %s", first.Kind, first.Timestamp)
	}
	if first.Processes[0].CPUTime != nil {
		t.Error("a missing number became 0 instead of unknown")
	}
	if used, whole := first.Processes[1].CPUTime, second.Processes[0].CPUTime; *used != 2534 || *whole != 3000 {
		t.Errorf("the CPU times are %d and %d µs, want 2534 and 3000", *used, *whole)
	}
	if second.Exited[0] != first.Processes[1].Key() {
		t.Error("two forms of the same start time are different keys")
	}
}

func TestDecodeBatchNamesTheInvalidField(t *testing.T) {
	batch := func(snapshots string) string { return `{"machine_id":"m","snapshots":[` + snapshots + `]}` }
	full := func(process string) string {
		const format = `{"machine_id":"m","snapshots":[{"timestamp":"2026-11-23T03:12:00Z","processes":[` +
			`{"pid":1,"ppid":0,"name":"init"},%s]}]}`
		return fmt.Sprintf(format, process)
	}
	snap := func(fields string) string {
		return fmt.Sprintf(`{"machine_id":"m","snapshots":[{"timestamp":"2026-11-23T03:12:00Z",%s}]}`, fields)
	}
	for name, test := range map[string]struct {
		body, field string
		index       int
	}{
		"not JSON":     {`{"machine_id":`, "machine_id", -1},
		"deep JSON":    {strings.Repeat("[", 100_000), "", -1},
		"no machine":   {`{"snapshots":[]}`, "machine_id", -1},
		"odd machine":  {`{"machine_id":"a b"}`, "machine_id", -1},
		"dot":          {`{"machine_id":"."}`, "machine_id", -1},
		"dots":         {`{"machine_id":".."}`, "machine_id", -1},
		"long machine": {`{"machine_id":"` + strings.Repeat("a", 129) + `"}`, "machine_id", -1},
		"long run id": {
			`{"machine_id":"m","source":{"run_id":"` + strings.Repeat("a", 65) + `"}}`, "source.run_id", -1,
		},
		"odd boot id":     {`{"machine_id":"m","source":{"boot_id":"a/b"}}`, "source.boot_id", -1},
		"NUL in a source": {`{"machine_id":"m","source":{"hostname":"a\u0000"}}`, "source.hostname", -1},
		"no timestamp":    {batch(`{}`), "snapshots[0].timestamp", 0},
		"bad timestamp": {
			`{"machine_id":"m","snapshots":[{"timestamp":"yesterday"}]}`,
			"snapshots[0].timestamp", 0,
		},
		"year 0": {
			`{"machine_id":"m","snapshots":[{"timestamp":"0000-01-01T00:00:00Z"}]}`,
			"snapshots[0].timestamp", 0,
		},
		"out of order": {
			batch(`{"timestamp":"2026-11-23T03:12:00Z"},{"timestamp":"2026-11-23T03:12:00Z"}`),
			"snapshots[1].timestamp", 1,
		},
		"bad kind":         {snap(`"kind":"partial"`), "snapshots[0].kind", 0},
		"exited in a full": {snap(`"exited":[{"pid":1}]`), "snapshots[0].exited", 0},
		"previous not before": {
			snap(`"kind":"changes","previous":"2026-11-23T03:12:00Z"`),
			"snapshots[0].previous", 0,
		},
		"exited twice": {
			snap(`"kind":"changes","exited":[{"pid":1},{"pid":1}]`),
			"snapshots[0].exited[1].pid", 0,
		},
		"usage over 100": {
			snap(`"machine_snapshot":{"cpu_usage":100.1}`),
			"snapshots[0].machine_snapshot.cpu_usage", 0,
		},
		"negative RAM": {
			snap(`"machine_snapshot":{"used_ram":-1}`),
			"snapshots[0].machine_snapshot.used_ram", 0,
		},
		"disk twice": {
			snap(`"machine_snapshot":{"disks":[{"mount":"/"},{"mount":"/"}]}`),
			"snapshots[0].machine_snapshot.disks[1].mount", 0,
		},
		"NaN": {snap(`"machine_snapshot":{"load1":NaN}`), "snapshots[0].machine_snapshot.load1", 0},
		"number too large": {
			full(`{"pid":2,"ppid":1,"name":"a","memory_usage":9007199254740992}`),
			"snapshots[0].processes[1].memory_usage", 0,
		},
		"CPU time too large": {
			full(`{"pid":2,"ppid":1,"name":"a","cpu_ms":8000000000000.001}`),
			"snapshots[0].processes[1].cpu_ms", 0,
		},
		"CPU time of 1e300": {
			full(`{"pid":2,"ppid":1,"name":"a","cpu_ms":1e300}`),
			"snapshots[0].processes[1].cpu_ms", 0,
		},
		"negative CPU time": {
			full(`{"pid":2,"ppid":1,"name":"a","cpu_ms":-0.001}`),
			"snapshots[0].processes[1].cpu_ms", 0,
		},
		"CPU time as text": {
			full(`{"pid":2,"ppid":1,"name":"a","cpu_ms":"5"}`),
			"snapshots[0].processes[1].cpu_ms", 0,
		},
		"memory that no machine has": {
			full(`{"pid":2,"ppid":1,"name":"a","memory_usage":9007199254740991}`),
			"snapshots[0].processes[1].memory_usage", 0,
		},
		"pid overflows": {full(`{"pid":99999999999,"ppid":1,"name":"a"}`), "snapshots[0].processes[1].pid", 0},
		"pid is text":   {full(`{"pid":"2","ppid":1,"name":"a"}`), "snapshots[0].processes[1].pid", 0},
		"no name":       {full(`{"pid":2,"ppid":1}`), "snapshots[0].processes[1].name", 0},
		"no ppid":       {full(`{"pid":2,"name":"a"}`), "snapshots[0].processes[1].ppid", 0},
		"process twice": {full(`{"pid":1,"ppid":0,"name":"init"}`), "snapshots[0].processes[1].pid", 0},
		"long name": {
			full(`{"pid":2,"ppid":1,"name":"` + strings.Repeat("n", 256) + `"}`),
			"snapshots[0].processes[1].name", 0,
		},
		"NUL in name": {full(`{"pid":2,"ppid":1,"name":"a\u0000b"}`), "snapshots[0].processes[1].name", 0},
		"invalid UTF-8": {
			full("{\"pid\":2,\"ppid\":1,\"name\":\"a\xff\"}"),
			"snapshots[0].processes[1].name", 0,
		},
		"two-letter state": {
			full(`{"pid":2,"ppid":1,"name":"a","state":"Ss"}`),
			"snapshots[0].processes[1].state", 0,
		},
		"exit code of 256": {
			full(`{"pid":2,"ppid":1,"name":"a","state":"X","exit_code":256}`),
			"snapshots[0].processes[1].exit_code", 0,
		},
		"negative exit code": {
			full(`{"pid":2,"ppid":1,"name":"a","state":"X","exit_code":-1}`),
			"snapshots[0].processes[1].exit_code", 0,
		},
		"exit code of a running process": {
			full(`{"pid":2,"ppid":1,"name":"a","state":"S","exit_code":0}`),
			"snapshots[0].processes[1].exit_code", 0,
		},
		"exit code without a state": {
			snap(`"kind":"changes","processes":[{"pid":1,"exit_code":0}]`),
			"snapshots[0].processes[0].exit_code", 0,
		},
		"fraction as an exit code": {
			full(`{"pid":2,"ppid":1,"name":"a","state":"X","exit_code":1.5}`),
			"snapshots[0].processes[1].exit_code", 0,
		},
		"signal 0": {
			full(`{"pid":2,"ppid":1,"name":"a","state":"X","exit_signal":0}`),
			"snapshots[0].processes[1].exit_signal", 0,
		},
		"signal with the flag of core dumps": {
			full(`{"pid":2,"ppid":1,"name":"a","state":"X","exit_signal":139}`),
			"snapshots[0].processes[1].exit_signal", 0,
		},
		"signal of a running process": {
			full(`{"pid":2,"ppid":1,"name":"a","exit_signal":9}`),
			"snapshots[0].processes[1].exit_signal", 0,
		},
		"exit code and signal": {
			full(`{"pid":2,"ppid":1,"name":"a","state":"X","exit_code":0,"exit_signal":9}`),
			"snapshots[0].processes[1].exit_signal", 0,
		},
		"half an identity": {
			snap(`"kind":"changes","processes":[{"pid":1,"ppid":0}]`),
			"snapshots[0].processes[0].name", 0,
		},
		"user without a name": {
			snap(`"kind":"changes","processes":[{"pid":1,"user":"root"}]`),
			"snapshots[0].processes[0].name", 0,
		},
		"processes not a list": {snap(`"processes":{}`), "snapshots[0].processes", 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := snapshot.DecodeBatch([]byte(test.body))
			invalid, ok := errors.AsType[*snapshot.ValidationError](err)
			if !ok {
				t.Fatalf("got %v, want a *ValidationError", err)
			}
			if !strings.HasPrefix(invalid.Field, test.field) || invalid.SnapshotIndex != test.index {
				t.Errorf("the error names %q in snapshot %d, want %q in %d (%v)",
					invalid.Field, invalid.SnapshotIndex, test.field, test.index, err)
			}
			if len(err.Error()) > 500 {
				t.Errorf("the error message has %d bytes, want at most 500", len(err.Error()))
			}
		})
	}
}

func TestMaxCounts(t *testing.T) {
	batch := snapshot.Batch{MachineID: "m", Snapshots: make([]snapshot.Snapshot, snapshot.MaxSnapshots+1)}
	if err := batch.Validate(); err == nil || !strings.Contains(err.Error(), "at most 1000") {
		t.Errorf("%d snapshots: %v", snapshot.MaxSnapshots+1, err)
	}
	zero := int32(0)
	full := snapshot.Snapshot{Timestamp: 1, Processes: make([]snapshot.ProcessSample, snapshot.MaxProcesses)}
	for i := range full.Processes {
		full.Processes[i] = snapshot.ProcessSample{PID: int32(i), PPID: &zero, Name: "p"}
	}
	batch.Snapshots = []snapshot.Snapshot{full}
	if err := batch.Validate(); err != nil {
		t.Errorf("a snapshot with the maximum number of processes: %v", err)
	}
	batch.Snapshots[0].Processes = append(full.Processes, snapshot.ProcessSample{PID: -1})
	if err := batch.Validate(); err == nil || !strings.Contains(err.Error(), "at most 50000") {
		t.Errorf("more than the maximum number of processes: %v", err)
	}
}

// FuzzDecodeBatch checks that no input causes a panic, and that every accepted batch can be encoded, decoded
// again and replayed.
func FuzzDecodeBatch(f *testing.F) {
	f.Add([]byte(goodBody))
	f.Add([]byte(`{"machine_id":"m","snapshots":[` +
		`{"timestamp":"2026-11-23T03:12:00Z","kind":"changes","processes":[{"pid":1}]}]}`))
	f.Add([]byte(`{"machine_id":"m","snapshots":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		batch, err := snapshot.DecodeBatch(body)
		if err != nil {
			if _, ok := errors.AsType[*snapshot.ValidationError](err); !ok {
				t.Fatalf("the error is a %T, want a *ValidationError", err)
			}
			return
		}
		again, err := snapshot.EncodeBatch(batch)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := snapshot.DecodeBatch(again); err != nil {
			t.Fatalf("an accepted batch is rejected after encoding: %v\n%s", err, again)
		}
		var replay snapshot.Replay
		for i := range batch.Snapshots {
			if replay.Apply(&batch.Snapshots[i]) == nil {
				snapshot.Tree(replay.Processes())
			}
		}
	})
}

func BenchmarkDecodeBatch(b *testing.B) {
	body := benchBody(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := snapshot.DecodeBatch(body); err != nil {
			b.Fatal(err)
		}
	}
}
