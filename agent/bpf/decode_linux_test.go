package bpf

import (
	"encoding/binary"
	"testing"
)

// The letters are those of ps for the states of linux/sched.h.
func TestStates(t *testing.T) {
	for _, test := range []struct {
		name             string
		state, exitState uint32
		want             string
	}{
		{"running", 0, 0, "R"},
		{"asleep", 1, 0, "S"},
		{"waiting for a disk", 2, 0, "D"},
		{"waiting for a disk, can be killed", 0x102, 0, "D"},
		{"idle kernel thread", 0x402, 0, "I"},
		{"idle kernel thread that can be frozen", 0x2402, 0, "I"},
		{"stopped", 4, 0, "T"},
		{"stopped by a debugger", 8, 0, "t"},
		{"zombie", 0x80, 0x20, "Z"},
		{"being removed", 0x80, 0x10, ""},
		{"zombie that a tracer looks at", 0x80, 0x30, "Z"},
		{"parked", 0x40, 0, "P"},
		{"frozen", 0x8000, 0, "D"},
		{"waiting for a lock", 0x1000, 0, "D"},
		{"new", 0x800, 0, "R"},
	} {
		if got := stateOf(test.state, test.exitState); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// A record or an event that is cut, of an unknown size or of an unknown kind is an error.
func TestInvalidRecordsAndEvents(t *testing.T) {
	record := make([]byte, processSize)
	binary.NativeEndian.PutUint32(record, processSize)
	var r processRecord
	if rest, err := decodeRecord(record, &r); err != nil || len(rest) != 0 {
		t.Fatal(rest, err)
	}
	for _, n := range []int{0, 3, threadSize - 1, threadSize, processSize - 1} {
		if _, err := decodeRecord(record[:n], &r); err == nil {
			t.Errorf("%d bytes of a record of %d are decoded", n, processSize)
		}
	}
	binary.NativeEndian.PutUint32(record, processSize+8)
	if _, err := decodeRecord(record, &r); err == nil {
		t.Error("a record of an unknown size is decoded")
	}
	sizes := map[uint32]int{eventFork: forkSize, eventExec: execSize, eventExit: exitSize, eventFree: freeSize}
	for kind, size := range sizes {
		b := make([]byte, size)
		binary.NativeEndian.PutUint32(b, kind)
		if _, err := decodeEvent(b); err != nil {
			t.Errorf("kind %d: %v", kind, err)
		}
		if _, err := decodeEvent(b[:size-1]); err == nil {
			t.Errorf("an event of kind %d without its last byte is decoded", kind)
		}
	}
	for _, kind := range []uint32{0, eventFree + 1, 1 << 31} {
		b := make([]byte, 200)
		binary.NativeEndian.PutUint32(b, kind)
		if _, err := decodeEvent(b); err == nil {
			t.Errorf("an event of kind %d is decoded", kind)
		}
	}
}
