package spool_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/snapwatch/snapwatch/agent/delivery/spool"
)

func open(t testing.TB, cfg spool.Config) *spool.Spool {
	t.Helper()
	s, err := spool.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// payload returns the payload of record n.
func payload(n int) []byte { return bytes.Repeat(fmt.Appendf(nil, "record %d. ", n), 1+n%7) }

func fill(t testing.TB, s *spool.Spool, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		record := spool.Record{Time: int64(1000 * n), Kind: byte(n % 3), Payload: payload(n)}
		if err := s.Append(&record); err != nil {
			t.Fatal(err)
		}
		if record.Number != uint64(n) {
			t.Fatalf("record %d has number %d", n, record.Number)
		}
	}
}

// drain reads the records after a number, and checks their content.
func drain(t testing.TB, s *spool.Spool, after uint64) (numbers []int) {
	t.Helper()
	for {
		records, err := s.After(after)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			return numbers
		}
		for _, r := range records {
			n := int(r.Number)
			if r.Time != int64(1000*n) || r.Kind != byte(n%3) || !bytes.Equal(r.Payload, payload(n)) {
				t.Fatalf("record %d is %+v", n, r)
			}
			numbers = append(numbers, n)
		}
		after = records[len(records)-1].Number
	}
}

func sequence(from, to int) (list []int) {
	for n := from; n <= to; n++ {
		list = append(list, n)
	}
	return list
}

func want(t testing.TB, got, want []int) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// The order of records, and what is removed, survive a kill.
func TestOrderSurvivesAKill(t *testing.T) {
	t.Parallel()
	cfg := spool.Config{Dir: t.TempDir(), SegmentBytes: 500}
	first := open(t, cfg) // never closed, as after a kill
	fill(t, first, 1, 100)
	want(t, drain(t, first, 0), sequence(1, 100))
	if err := first.Remove(37); err != nil {
		t.Fatal(err)
	}
	second := open(t, cfg)
	want(t, drain(t, second, 0), sequence(38, 100))
	want(t, drain(t, second, 90), sequence(91, 100))
	if second.Last() != 100 || second.RemovedThrough() != 37 || second.CorruptRegions() != 0 {
		t.Errorf(
			"last %d, removed through %d, %d corrupt regions",
			second.Last(), second.RemovedThrough(), second.CorruptRegions(),
		)
	}
	fill(t, second, 101, 120)
	if err := second.Remove(120); err != nil {
		t.Fatal(err)
	}
	if n := len(segments(t, cfg.Dir)); n > 1 {
		t.Errorf("%d segments are left, all of whose records are removed", n)
	}
	third := open(t, cfg)
	want(t, drain(t, third, 0), nil)
	fill(t, third, 121, 122) // the numbers continue
	want(t, drain(t, third, 0), []int{121, 122})
}

func TestEmptyAfterAllIsRemoved(t *testing.T) {
	t.Parallel()
	cfg := spool.Config{Dir: t.TempDir()}
	s := open(t, cfg)
	fill(t, s, 1, 3)
	if err := s.Remove(3); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, cfg)
	if n := len(segments(t, cfg.Dir)); n != 0 || again.Bytes() != 0 {
		t.Errorf("%d segments, %d bytes", n, again.Bytes())
	}
	fill(t, again, 4, 4)
	want(t, drain(t, again, 0), []int{4})
}

func TestBound(t *testing.T) {
	t.Parallel()
	s := open(t, spool.Config{Dir: t.TempDir(), MaxBytes: 4000, SegmentBytes: 1000})
	dropped := 0
	for n := 1; n <= 300; n++ {
		fill(t, s, n, n)
		for s.Full() {
			records, err := s.DropOldest()
			if err != nil || len(records) == 0 {
				t.Fatalf("%d records, %v", len(records), err)
			}
			for _, r := range records {
				if dropped++; r.Number != uint64(dropped) {
					t.Fatalf("dropped record %d, want %d, the oldest", r.Number, dropped)
				}
			}
		}
		if s.Bytes() > 4000 {
			t.Fatalf("%d bytes", s.Bytes())
		}
	}
	want(t, drain(t, s, 0), sequence(dropped+1, 300))
	if dropped == 0 {
		t.Error("no record was dropped; the test needs more data")
	}
}

// A record larger than the bound is dropped with its segment. Later records are stored.
func TestRecordLargerThanTheBound(t *testing.T) {
	t.Parallel()
	s := open(t, spool.Config{Dir: t.TempDir(), MaxBytes: 1000, SegmentBytes: 200})
	fill(t, s, 1, 2)
	huge := spool.Record{Payload: make([]byte, 5000)}
	if err := s.Append(&huge); err != nil {
		t.Fatal(err)
	}
	for s.Full() {
		if _, err := s.DropOldest(); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, s, 4, 5)
	want(t, drain(t, s, 0), []int{4, 5})
}

func TestSyncPolicy(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	synced := 0
	s := open(t, spool.Config{
		Dir:       t.TempDir(),
		SyncEvery: 10 * time.Second,
		Now:       func() time.Time { return now },
		SyncFile:  func(*os.File) error { synced++; return nil },
	})
	for i, step := range []struct {
		after time.Duration
		syncs int
	}{{0, 0}, {9 * time.Second, 0}, {time.Second, 1}, {9 * time.Second, 1}} {
		now = now.Add(step.after)
		fill(t, s, i+1, i+1)
		if synced != step.syncs {
			t.Errorf("after record %d: %d syncs, want %d", i+1, synced, step.syncs)
		}
	}
	for range 2 { // the second call has nothing to sync
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if synced != 2 {
		t.Errorf("after Sync: %d syncs, want 2", synced)
	}
	want(t, drain(t, s, 0), sequence(1, 4))
}

// After random operations, including kills, exactly the records that are not removed come out in order.
func TestAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "model")
		if err != nil {
			rt.Fatal(err)
		}
		cfg := spool.Config{
			Dir:          dir,
			SegmentBytes: int64(rapid.IntRange(1, 2000).Draw(rt, "segment")),
			SyncFile:     func(*os.File) error { return nil },
		}
		s, err := spool.Open(cfg)
		if err != nil {
			rt.Fatal(err)
		}
		var model []int
		last := 0
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				for range rapid.IntRange(1, 9).Draw(rt, "n") {
					last++
					record := spool.Record{Time: int64(1000 * last), Kind: byte(last % 3), Payload: payload(last)}
					if err := s.Append(&record); err != nil {
						rt.Fatal(err)
					}
					model = append(model, last)
				}
			},
			"remove": func(rt *rapid.T) {
				n := rapid.IntRange(0, last).Draw(rt, "through")
				if err := s.Remove(uint64(n)); err != nil {
					rt.Fatal(err)
				}
				model = slices.DeleteFunc(model, func(m int) bool { return m <= n })
			},
			"kill": func(rt *rapid.T) {
				if s, err = spool.Open(cfg); err != nil {
					rt.Fatal(err)
				}
			},
			"close": func(rt *rapid.T) {
				_ = s.Close()
				if s, err = spool.Open(cfg); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				if got := drain(t, s, 0); !slices.Equal(got, model) {
					rt.Fatalf("got %v, want %v", got, model)
				}
			},
		})
		_ = s.Close()
	})
}

func BenchmarkAppend(b *testing.B) {
	s := open(b, spool.Config{Dir: b.TempDir(), SyncEvery: time.Hour})
	text := make([]byte, 1500) // changes of 300 processes, compressed
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := s.Append(&spool.Record{Payload: text}); err != nil {
			b.Fatal(err)
		}
		for s.Full() {
			if _, err := s.DropOldest(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// A new segment is durable only after its folder is synced too.
func TestSyncIncludesTheFolder(t *testing.T) {
	var calls []string
	s := open(t, spool.Config{
		Dir:      t.TempDir(),
		SyncFile: func(*os.File) error { calls = append(calls, "file"); return nil },
		SyncDir:  func(string) error { calls = append(calls, "folder"); return nil },
	})
	for n := 1; n <= 2; n++ {
		fill(t, s, n, n)
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"file", "folder", "file"}; !slices.Equal(calls, want) {
		t.Errorf("synced %v, want %v", calls, want)
	}
}
