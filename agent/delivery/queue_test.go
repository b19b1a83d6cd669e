package delivery

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/snapwatch/snapwatch/agent/delivery/spool"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// openDiskQueue opens a queue on a folder, as an agent does when it starts. All queues share a codec: they are many.
func openDiskQueue(t testing.TB, cfg spool.Config) *Queue {
	t.Helper()
	codec, err := sharedCodec()
	if err != nil {
		t.Fatal(err)
	}
	s, err := spool.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return newDiskQueue(s, codec, testlog.Logger())
}

var sharedCodec = sync.OnceValues(NewCodec)

// noiseJSON returns the JSON of a snapshot. Most of it cannot be compressed.
func noiseJSON(n, size int) []byte {
	noise := make([]byte, size)
	state := uint32(n)
	for i := range noise {
		state = state*1664525 + 1013904223
		noise[i] = 'a' + byte(state>>24)%26
	}
	return fmt.Appendf(nil, `{"n":%d,"noise":"%s"}`, n, noise)
}

// put adds snapshots. Every tenth is full, and the others are changes.
func put(q *Queue, from, to, size int) (dropped int) {
	for n := from; n <= to; n++ {
		kind := snapshot.KindChanges
		if n%10 == 1 {
			kind = snapshot.KindFull
		}
		dropped += q.Add(Entry{Timestamp: snapshot.Time(n), Kind: kind, JSON: noiseJSON(n, size)})
	}
	return dropped
}

// take removes everything from a queue, and checks that each snapshot is complete.
func take(t testing.TB, q *Queue, most int) (numbers []int) {
	t.Helper()
	for {
		batch := q.Head(most, 1<<20)
		if len(batch) == 0 {
			return numbers
		}
		for _, s := range batch {
			n := int(s.Timestamp)
			if !strings.HasPrefix(string(s.JSON), fmt.Sprintf(`{"n":%d,`, n)) ||
				(s.Kind == snapshot.KindFull) != (n%10 == 1) {
				t.Fatalf("%d came out as %s %.20s", n, s.Kind, s.JSON)
			}
			numbers = append(numbers, n)
		}
		q.Remove(batch[len(batch)-1].Number)
	}
}

func span(from, to int) (list []int) {
	for n := from; n <= to; n++ {
		list = append(list, n)
	}
	return list
}

func TestQueueIsBounded(t *testing.T) {
	q := NewMemoryQueue(100, testlog.Logger())
	add := func(at int, kind snapshot.Kind, size int) int {
		return q.Add(Entry{Timestamp: snapshot.Time(at), Kind: kind, JSON: make([]byte, size)})
	}
	timestamps := func() (list []int) {
		for _, s := range q.Head(100, 1000) {
			list = append(list, int(s.Timestamp))
		}
		return list
	}
	for i := 1; i <= 5; i++ {
		kind := snapshot.KindChanges
		if i == 1 || i == 4 {
			kind = snapshot.KindFull
		}
		if dropped := add(i, kind, 20); dropped != 0 {
			t.Fatalf("%d dropped within the bound", dropped)
		}
	}
	if dropped := add(6, snapshot.KindChanges, 1); dropped != 3 || !slices.Equal(timestamps(), []int{4, 5, 6}) {
		t.Errorf("dropped %d, left %v; want the oldest run dropped as a whole", dropped, timestamps())
	}
	if head := q.Head(2, 1000); len(head) != 2 {
		t.Errorf("Head returned %d entries, want 2", len(head))
	}
	if head := q.Head(10, 25); len(head) != 1 {
		t.Errorf("Head returned %d entries, want the one that fits 25 bytes", len(head))
	}
	if head := q.Head(10, 5); len(head) != 1 {
		t.Errorf("Head returned %d entries, want one even if it is too large", len(head))
	}
	q.Remove(4) // numbers equal timestamps here
	if n := len(q.DropRun(4)); n != 0 || !slices.Equal(timestamps(), []int{5, 6}) {
		t.Errorf("DropRun of a removed entry dropped %d, left %v", n, timestamps())
	}
	if n := len(q.DropRun(5)); n != 2 {
		t.Errorf("dropped %d", n)
	}
	if dropped := add(7, snapshot.KindFull, 101); dropped != 1 {
		t.Errorf("adding an entry larger than the bound dropped %d", dropped)
	}
	if n, bytes, dropped := q.Size(); n != 0 || bytes != 0 || dropped != 6 {
		t.Errorf("%d snapshots, %d bytes, %d dropped", n, bytes, dropped)
	}
}

// More entries than memory holds come out in order, also after a kill.
func TestQueueSurvivesAKill(t *testing.T) {
	t.Parallel()
	cfg := spool.Config{Dir: t.TempDir()}
	q := openDiskQueue(t, cfg)
	put(q, 1, 120, 100_000) // 12 MB of JSON, three times what is kept in memory
	if waiting, _, _ := q.Size(); waiting != 120 || q.disk.loaded.bytes > q.disk.window || !q.disk.behind() {
		t.Fatalf("%d wait, %d bytes of them in memory", waiting, q.disk.loaded.bytes)
	}
	batch := q.Head(7, 1<<30)
	q.Remove(batch[6].Number)
	again := openDiskQueue(t, cfg) // the first was killed
	if waiting, _, _ := again.Size(); waiting != 113 {
		t.Errorf("%d wait, want 113", waiting)
	}
	put(again, 121, 125, 100)
	if got := take(t, again, 10); !slices.Equal(got, span(8, 125)) {
		t.Errorf("got %v", got)
	}
	if waiting, bytes, dropped := again.Size(); waiting != 0 || bytes != 0 || dropped != 0 {
		t.Errorf("%d snapshots, %d bytes, %d dropped", waiting, bytes, dropped)
	}
	if got := take(t, openDiskQueue(t, cfg), 10); len(got) != 0 {
		t.Errorf("removed entries come out again: %v", got)
	}
}

// While the disk cannot be written, entries wait in memory. They are written later, in their order.
func TestQueueWhenTheDiskFails(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "spool")
	q := openDiskQueue(t, spool.Config{Dir: dir, SegmentBytes: 1})
	put(q, 1, 50, 100_000) // so many that some are on disk alone
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	put(q, 51, 60, 100)
	if waiting, _, _ := q.Size(); waiting != 60 || !q.disk.failing {
		t.Errorf("%d wait", waiting)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	put(q, 61, 70, 100)
	if q.disk.failing || !q.memory.empty() {
		t.Errorf("the disk works again, and %d entries are still in memory", len(q.memory.entries))
	}
	q = openDiskQueue(t, spool.Config{Dir: dir, SegmentBytes: 1}) // a kill loses none of them
	if got := take(t, q, 9); !slices.Equal(got, span(1, 70)) {
		t.Errorf("got %v", got)
	}
}

// The entries that cannot be written are bounded.
func TestQueueWhenTheDiskFailsForLong(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "spool")
	q := openDiskQueue(t, spool.Config{Dir: dir, SegmentBytes: 1})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	dropped := put(q, 1, 250, 100_000) // 25 MB
	if q.memory.bytes > q.limit || dropped == 0 || dropped%10 != 0 {
		t.Errorf("%d bytes, %d dropped", q.memory.bytes, dropped)
	}
	if got := take(t, q, 9); !slices.Equal(got, span(dropped+1, 250)) {
		t.Errorf("got %v after %d were dropped", got, dropped)
	}
}

// At the bound of the disk the oldest runs are dropped as a whole, and counted.
func TestQueueAtTheBoundOfTheDisk(t *testing.T) {
	t.Parallel()
	cfg := spool.Config{Dir: t.TempDir(), MaxBytes: 2_000_000, SegmentBytes: 150_000}
	q := openDiskQueue(t, cfg)
	dropped := put(q, 1, 400, 20_000)
	if dropped == 0 || dropped%10 != 0 {
		t.Errorf("%d dropped", dropped)
	}
	if _, bytes, counted := q.Size(); counted != dropped || bytes > 2_000_000 {
		t.Errorf("%d counted of %d, %d bytes", counted, dropped, bytes)
	}
	if got := take(t, q, 9); !slices.Equal(got, span(dropped+1, 400)) {
		t.Errorf("got %v after %d were dropped", got, dropped)
	}
}

// A run is dropped as a whole, even if a part of it is only on disk.
func TestDropRunReachesIntoTheSpool(t *testing.T) {
	t.Parallel()
	q := openDiskQueue(t, spool.Config{Dir: t.TempDir(), SegmentBytes: 150_000})
	put(q, 1, 60, 500_000)
	head := q.Head(1, 1)
	if n := len(q.DropRun(head[0].Number)); n != 10 {
		t.Errorf("%d dropped", n)
	}
	if got := take(t, q, 9); !slices.Equal(got, span(11, 60)) {
		t.Errorf("got %v", got)
	}
}

// Random operations lose no entry, return none twice, and keep the order.
func TestQueueAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "model")
		if err != nil {
			rt.Fatal(err)
		}
		cfg := spool.Config{
			Dir:          filepath.Join(dir, "spool"),
			SegmentBytes: int64(rapid.IntRange(1, 5000).Draw(rt, "segment")),
			SyncFile:     func(*os.File) error { return nil },
		}
		start := func() *Queue {
			q := openDiskQueue(t, cfg)
			q.disk.window = 4000
			return q
		}
		q := start()
		var model []int
		last, away := 0, false
		memoryOnly := map[int]bool{}
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				n := rapid.IntRange(1, 12).Draw(rt, "n")
				size := rapid.SampledFrom([]int{10, 1000, 3000}).Draw(rt, "size")
				for range n {
					last++
					put(q, last, last, size)
					model = append(model, last)
					if memoryOnly[last] = true; !q.disk.failing {
						clear(memoryOnly) // all of them are written now
					}
				}
			},
			"send": func(rt *rapid.T) {
				batch := q.Head(rapid.IntRange(1, 20).Draw(rt, "most"), 5000)
				if len(batch) == 0 {
					if len(model) > 0 && !away { // entries that cannot be read hold back those after them
						rt.Fatalf("nothing comes out, %v wait", model)
					}
					return
				}
				for i, s := range batch {
					if int(s.Timestamp) != model[i] {
						rt.Fatalf("%d came out, want %d", s.Timestamp, model[i])
					}
				}
				if away { // removing cannot be recorded: the entries would come out again after a kill
					return
				}
				q.Remove(batch[len(batch)-1].Number)
				model = model[len(batch):]
			},
			"kill": func(rt *rapid.T) {
				if away {
					return
				}
				q = start()
				model = slices.DeleteFunc(model, func(n int) bool { return memoryOnly[n] })
			},
			"the disk fails": func(*rapid.T) {
				if !away {
					away = os.Rename(cfg.Dir, cfg.Dir+".away") == nil
				}
			},
			"the disk works": func(*rapid.T) {
				if away {
					away = os.Rename(cfg.Dir+".away", cfg.Dir) != nil
				}
			},
			"": func(rt *rapid.T) {
				waiting, _, dropped := q.Size()
				// Size includes numbers that were never written, until the entries around them are read.
				exact := !q.disk.behind()
				if dropped != 0 || waiting < len(model) || exact && waiting != len(model) {
					rt.Fatalf("%d wait and %d were dropped, want %d", waiting, dropped, len(model))
				}
			},
		})
		q.Close()
	})
}

// BenchmarkHourWithoutServer measures the disk space of one hour with 300 processes every 5 s, one in eight busy, and
// the time to write one snapshot.
func BenchmarkHourWithoutServer(b *testing.B) {
	machine := snapshottest.NewMachine(1, 300)
	machine.Churn, machine.Busy = 0.0005, 0.125
	series := machine.Series(1_780_000_000_000, 720, 5*time.Second, 12)
	var encoded []Entry
	for i := range series.Snapshots {
		s := &series.Snapshots[i]
		data, err := json.Marshal(s)
		if err != nil {
			b.Fatal(err)
		}
		encoded = append(encoded, Entry{Timestamp: s.Timestamp, Kind: s.Kind, JSON: data})
	}
	for b.Loop() {
		q := openDiskQueue(b, spool.Config{Dir: b.TempDir()})
		for _, s := range encoded {
			q.Add(s)
		}
		b.ReportMetric(24*float64(q.disk.spool.Bytes())/1e6, "MB/day")
		b.ReportMetric(float64(q.disk.spool.Bytes())/float64(720*300), "B/sample")
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(720*b.N), "µs/snapshot")
}
