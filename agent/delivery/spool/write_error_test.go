package spool_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/snapwatch/snapwatch/agent/delivery/spool"
)

// openUnwritable opens a spool with the records 1 and 2 whose folder cannot be written until restore is called. Each
// record is in a segment of its own.
func openUnwritable(t *testing.T) (s *spool.Spool, cfg spool.Config, restore func()) {
	t.Helper()
	cfg = spool.Config{Dir: filepath.Join(t.TempDir(), "spool"), SegmentBytes: 1}
	s = open(t, cfg)
	fill(t, s, 1, 2)
	moved := cfg.Dir + ".away"
	if err := os.Rename(cfg.Dir, moved); err != nil {
		t.Fatal(err)
	}
	return s, cfg, func() {
		if err := os.Rename(moved, cfg.Dir); err != nil {
			t.Fatal(err)
		}
	}
}

// While the folder cannot be written, Append fails and the records that are stored stay. Afterwards it works again.
func TestUnwritableFolder(t *testing.T) {
	t.Parallel()
	s, cfg, restore := openUnwritable(t)
	failed := spool.Record{Payload: payload(3)}
	if err := s.Append(&failed); err == nil || failed.Number != 3 {
		t.Fatalf("number %d, %v", failed.Number, err)
	}
	restore()
	fill(t, s, 4, 5)
	want(t, drain(t, s, 0), []int{1, 2, 4, 5})
	want(t, drain(t, open(t, cfg), 0), []int{1, 2, 4, 5})
}

// A record whose Append failed can be appended again with its number. A lower number than that of the newest is
// refused.
func TestAppendAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	s, cfg, restore := openUnwritable(t)
	record := spool.Record{Time: 3000, Kind: 0, Payload: payload(3)}
	for range 2 {
		if err := s.Append(&record); err == nil || record.Number != 3 {
			t.Fatalf("number %d, %v", record.Number, err)
		}
	}
	restore()
	// A file in the way, such as one that Open could not read, is kept under another name.
	inTheWay := filepath.Join(cfg.Dir, fmt.Sprintf("%020d.seg", 3))
	if err := os.WriteFile(inTheWay, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(&record); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(inTheWay + ".unreadable"); err != nil || string(text) != "old" {
		t.Errorf("the file in the way is %q (%v)", text, err)
	}
	fill(t, s, 4, 5)
	if err := s.Append(&spool.Record{Number: 4, Payload: payload(4)}); err == nil {
		t.Error("a record with an old number is accepted")
	}
	want(t, drain(t, s, 0), sequence(1, 5))
	want(t, drain(t, open(t, cfg), 0), sequence(1, 5))
}
