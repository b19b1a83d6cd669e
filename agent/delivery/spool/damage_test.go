package spool_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/snapwatch/snapwatch/agent/delivery/spool"
)

// Damage loses only the records that it hits, and is never an error.
func TestDamage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		damage         func(t *testing.T, dir string, files []string)
		lost           []int
		corruptRegions int
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
			if again.CorruptRegions() != test.corruptRegions {
				t.Errorf("%d corrupt regions are counted, want %d", again.CorruptRegions(), test.corruptRegions)
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
		if again.CorruptRegions() != 0 {
			t.Errorf("%d corrupt regions", again.CorruptRegions())
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
