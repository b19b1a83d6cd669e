package spool_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
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
	if second.Last() != 100 || second.Done() != 37 || second.Damages() != 0 {
		t.Errorf("last %d, done %d, %d damages", second.Last(), second.Done(), second.Damages())
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

// Damage loses only the records that it hits, and is never an error.
func TestDamage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		damage  func(t *testing.T, dir string, files []string)
		lost    []int
		damages int
	}{
		"the end is missing": {func(t *testing.T, _ string, files []string) {
			truncate(t, files[len(files)-1], -3)
		}, []int{30}, 1},
		"the end is missing from the header on": {func(t *testing.T, _ string, files []string) {
			truncate(t, files[len(files)-1], -int64(len(payload(30)))-10)
		}, []int{30}, 1},
		"a flipped bit in a payload": {flipAt(40), []int{1}, 1},
		"a flipped bit in a length":  {flipAt(4), []int{1}, 1},
		"a huge length": {func(t *testing.T, _ string, files []string) {
			edit(t, files[0], func(b []byte) { binary.LittleEndian.PutUint32(b[4:], 1<<31) })
		}, []int{1}, 1},
		"a flipped bit in a magic": {flipAt(0), []int{1}, 1},
		"a missing file": {func(t *testing.T, _ string, files []string) {
			if err := os.Remove(files[1]); err != nil {
				t.Fatal(err)
			}
		}, nil, 0},
		"an empty file": {func(t *testing.T, _ string, files []string) { truncate(t, files[0], -1<<40) }, nil, 0},
		"a file with random bytes": {func(t *testing.T, _ string, files []string) {
			edit(t, files[0], func(b []byte) {
				for i := range b {
					b[i] = byte(rand.Uint32())
				}
			})
		}, nil, 1},
		"an incomplete done file": {func(t *testing.T, dir string, _ []string) {
			if err := os.WriteFile(filepath.Join(dir, "done"), make([]byte, 7), 0o600); err != nil {
				t.Fatal(err)
			}
		}, []int{}, 1},
		"unrelated files": {func(t *testing.T, dir string, _ []string) {
			for _, name := range []string{"x.seg", "readme", "00.segment"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("?"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}, []int{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := spool.Config{Dir: t.TempDir(), SegmentBytes: 500}
			s := open(t, cfg)
			fill(t, s, 1, 30)
			files := segments(t, cfg.Dir)
			ranges := make(map[string][2]int)
			for i, file := range files {
				var from, to int
				if _, err := fmt.Sscanf(filepath.Base(file), "%d.seg", &from); err != nil {
					t.Fatal(err)
				}
				if to = 30; i+1 < len(files) {
					_, _ = fmt.Sscanf(filepath.Base(files[i+1]), "%d.seg", &to)
					to--
				}
				ranges[file] = [2]int{from, to}
			}
			test.damage(t, cfg.Dir, files)
			lost := test.lost
			if lost == nil { // a ranges file
				file := files[0]
				if name == "a missing file" {
					file = files[1]
				}
				lost = sequence(ranges[file][0], ranges[file][1])
			}
			again := open(t, cfg)
			left := slices.DeleteFunc(sequence(1, 30), func(n int) bool { return slices.Contains(lost, n) })
			want(t, drain(t, again, 0), left)
			if again.Damages() != test.damages {
				t.Errorf("%d damages are counted, want %d", again.Damages(), test.damages)
			}
			next := spool.Record{}
			if err := again.Append(&next); err != nil || next.Number < 30 {
				t.Errorf("the next record has number %d (%v)", next.Number, err)
			}
		})
	}
}

// The done file has two copies, which are written in turn. If one is damaged, the other applies. Then at most the
// records that were removed last come out again.
func TestDamagedCopyInTheDoneFile(t *testing.T) {
	t.Parallel()
	for slot, first := range []int{7, 5} { // the first copy has 4, the second 6
		cfg := spool.Config{Dir: t.TempDir()}
		s := open(t, cfg)
		fill(t, s, 1, 10)
		for _, through := range []uint64{4, 6} {
			if err := s.Remove(through); err != nil {
				t.Fatal(err)
			}
		}
		edit(t, filepath.Join(cfg.Dir, "done"), func(b []byte) { b[12*slot] ^= 1 })
		again := open(t, cfg)
		want(t, drain(t, again, 0), sequence(first, 10))
		if again.Damages() != 0 {
			t.Errorf("%d damages", again.Damages())
		}
	}
}

func truncate(t *testing.T, file string, by int64) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, max(0, info.Size()+by)); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, file string, change func([]byte)) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	change(text)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// flipAt returns a function that flips a bit in the first file.
func flipAt(offset int) func(t *testing.T, dir string, files []string) {
	return func(t *testing.T, _ string, files []string) {
		edit(t, files[0], func(b []byte) { b[offset] ^= 4 })
	}
}

// While the folder cannot be written, Append fails and the records that are stored stay. Afterwards it works again.
func TestUnwritableFolder(t *testing.T) {
	t.Parallel()
	cfg := spool.Config{Dir: filepath.Join(t.TempDir(), "spool"), SegmentBytes: 1}
	s := open(t, cfg)
	fill(t, s, 1, 2)
	moved := cfg.Dir + ".away"
	if err := os.Rename(cfg.Dir, moved); err != nil {
		t.Fatal(err)
	}
	failed := spool.Record{Payload: payload(3)}
	if err := s.Append(&failed); err == nil || failed.Number != 3 {
		t.Fatalf("number %d, %v", failed.Number, err)
	}
	if err := os.Rename(moved, cfg.Dir); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 4, 5)
	want(t, drain(t, s, 0), []int{1, 2, 4, 5})
	want(t, drain(t, open(t, cfg), 0), []int{1, 2, 4, 5})
}

// A record whose Append failed can be appended again with its number. A lower number than that of the newest is
// refused.
func TestAppendAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	cfg := spool.Config{Dir: filepath.Join(t.TempDir(), "spool"), SegmentBytes: 1}
	s := open(t, cfg)
	fill(t, s, 1, 2)
	moved := cfg.Dir + ".away"
	if err := os.Rename(cfg.Dir, moved); err != nil {
		t.Fatal(err)
	}
	record := spool.Record{Time: 3000, Kind: 0, Payload: payload(3)}
	for range 2 {
		if err := s.Append(&record); err == nil || record.Number != 3 {
			t.Fatalf("number %d, %v", record.Number, err)
		}
	}
	if err := os.Rename(moved, cfg.Dir); err != nil {
		t.Fatal(err)
	}
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

// FuzzRecovery checks that Open accepts any content of a folder, and that the spool can be used afterwards.
func FuzzRecovery(f *testing.F) {
	dir := f.TempDir()
	s := open(f, spool.Config{Dir: dir, SegmentBytes: 1 << 20})
	fill(f, s, 1, 5)
	valid, err := os.ReadFile(segments(f, dir)[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid, []byte{})
	f.Add(valid[:len(valid)-5], []byte("done"))
	f.Add(append([]byte("SWQ1SWQ1SWQ1"), valid...), make([]byte, 12))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, segment, done []byte) {
		dir := t.TempDir()
		for name, text := range map[string][]byte{"00000000000000000001.seg": segment, "done": done} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, spool.Config{Dir: dir})
		records, err := s.After(0)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, r := range records {
			size += len(r.Payload)
		}
		if size > len(segment) {
			t.Errorf("%d bytes of payloads came out of %d bytes", size, len(segment))
		}
		record := spool.Record{Payload: []byte("next")}
		if err := s.Append(&record); err != nil {
			t.Fatal(err)
		}
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
