package bpf

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
)

var update = flag.Bool("update", false, "record the files in testdata again, with BPF")

// decoded is what the Kernel makes of the recorded bytes.
type decoded struct {
	Listed []procfs.Task
	Ended  []exits.Process
}

// Bytes that the programs wrote on a real kernel give the same processes everywhere. After a change of the programs,
// they must be recorded again.
func TestRecordedBytes(t *testing.T) {
	list, events, golden := filepath.Join("testdata", "list"), filepath.Join("testdata", "events"),
		filepath.Join("testdata", "processes.json")
	if *update {
		recordedList, recordedEvents := recordBytes(t)
		for file, content := range map[string][]byte{list: recordedList, events: recordedEvents} {
			if err := os.WriteFile(file, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := func(file string) []byte {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	got, err := json.MarshalIndent(decodeBytes(t, read(list), read(events)), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if string(got) != string(read(golden)) {
		t.Errorf("the recorded bytes give\n%s", got)
	}
}

func decodeBytes(t *testing.T, list, events []byte) (d decoded) {
	t.Helper()
	k, w := without()
	k.bootTime = time.Unix(1_800_000_000, 0).UTC()
	for len(events) > 0 {
		length := u32(events)
		e, err := decodeEvent(events[4 : 4+length])
		if err != nil {
			t.Fatal(err)
		}
		k.add(e)
		events = events[4+length:]
	}
	k.buffer, k.round = list, 1
	if err := k.addRecords(); err != nil {
		t.Fatal(err)
	}
	for _, g := range k.groups {
		g.finish()
		d.Listed = append(d.Listed, g.task)
	}
	slices.SortFunc(d.Listed, func(a, b procfs.Task) int { return cmp.Compare(a.PID, b.PID) })
	d.Ended = w.pending
	return d
}

// recordBytes returns the records of this process and a child, and the events of children that end.
func recordBytes(t *testing.T) (list, events []byte) {
	t.Helper()
	k, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	k.mu.Lock() // only the test reads
	defer k.mu.Unlock()
	pids := make(map[uint32]bool)
	for _, arguments := range [][]string{
		{"true", "an argument", ""},
		{"sh", "-c", "exit 3"},
		{"sh", "-c", "kill -SEGV $$"},
		{"perl", "-e", "$SIG{__WARN__} = sub {}; for ($i = 0; $i < 1000000; $i++) {}"},
		{"dd", "if=/dev/zero", "of=" + filepath.Join(t.TempDir(), "file"), "bs=64k", "count=16", "conv=fsync"},
	} {
		child := exec.Command(arguments[0], arguments[1:]...)
		_ = child.Run()
		pids[uint32(child.Process.Pid)] = true
	}
	for end := time.Now().Add(time.Second); ; { // the kernel removes processes some time after their end
		if err := k.ring.ReadInto(&k.record); err != nil {
			if time.Now().After(end) {
				break
			}
			time.Sleep(time.Millisecond)
			continue
		}
		raw := k.record.RawSample
		if e, err := decodeEvent(raw); err == nil && pids[e.tgid] {
			events = binary.NativeEndian.AppendUint32(events, uint32(len(raw)))
			events = append(events, raw...)
		}
	}
	child := exec.Command("sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Wait() }()
	defer func() { _ = child.Process.Kill() }()
	clear(pids)
	pids[uint32(os.Getpid())], pids[uint32(child.Process.Pid)] = true, true
	if err := k.iterate(); err != nil {
		t.Fatal(err)
	}
	for b := k.buffer; len(b) > 0; {
		var r processRecord
		rest, err := decodeRecord(b, &r)
		if err != nil {
			t.Fatal(err)
		}
		if pids[r.tgid] {
			list = append(list, b[:len(b)-len(rest)]...)
		}
		b = rest
	}
	return list, events
}

// Bytes of any kind are decoded without a panic, and what is decoded is not longer than they are.
func FuzzRecords(f *testing.F) {
	for _, name := range []string{"list", "events"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, w := without()
		k.buffer, k.round = b, 1
		_ = k.addRecords()
		for len(b) > 4 {
			length := min(int(u32(b)), len(b)-4)
			if e, err := decodeEvent(b[4 : 4+length]); err == nil {
				k.add(e)
			}
			b = b[4+length:]
		}
		for pid := range k.groups {
			k.clear(pid)
		}
		if len(k.groups) != 0 || k.text != 0 {
			t.Errorf("%d processes and %d bytes of text are left, with %d ended", len(k.groups), k.text, len(w.pending))
		}
	})
}
