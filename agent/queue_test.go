package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"github.com/snapwatch/snapwatch/agent/spool"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// spooled opens a queue on a folder, as an agent does at its start.
func spooled(t testing.TB, cfg spool.Config) *queue {
	t.Helper()
	packing, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := spool.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return newSpooledQueue(kept, packing, quiet())
}

// text is a snapshot's JSON, of a size that does not compress away.
func text(n, size int) []byte {
	noise := make([]byte, size)
	state := uint32(n)
	for i := range noise {
		state = state*1664525 + 1013904223
		noise[i] = 'a' + byte(state>>24)%26
	}
	return fmt.Appendf(nil, `{"n":%d,"noise":"%s"}`, n, noise)
}

// every tenth is full, the others rest on it.
func put(q *queue, from, to, size int) (dropped int) {
	for n := from; n <= to; n++ {
		kind := snapshot.KindChanges
		if n%10 == 1 {
			kind = snapshot.KindFull
		}
		dropped += q.add(queued{at: snapshot.Time(n), kind: kind, json: text(n, size)})
	}
	return dropped
}

// take sends everything, and checks that each snapshot is whole.
func take(t testing.TB, q *queue, most int) (ats []int) {
	t.Helper()
	for {
		batch := q.head(most, 1<<20)
		if len(batch) == 0 {
			return ats
		}
		for _, s := range batch {
			n := int(s.at)
			if !strings.HasPrefix(string(s.json), fmt.Sprintf(`{"n":%d,`, n)) ||
				(s.kind == snapshot.KindFull) != (n%10 == 1) {
				t.Fatalf("%d came out as %s %.20s", n, s.kind, s.json)
			}
			ats = append(ats, n)
		}
		q.remove(batch[len(batch)-1].number)
	}
}

func span(from, to int) (list []int) {
	for n := from; n <= to; n++ {
		list = append(list, n)
	}
	return list
}

// More than memory holds comes out in order, also after a kill.
func TestQueueOutlivesTheAgent(t *testing.T) {
	t.Parallel()
	cfg := spool.Config{Dir: t.TempDir()}
	q := spooled(t, cfg)
	put(q, 1, 120, 100_000) // 12 MB of JSON, three times what is kept in memory
	if waiting, _, _ := q.size(); waiting != 120 || q.bytes > q.window || !q.behind {
		t.Fatalf("%d wait, %d bytes of them in memory", waiting, q.bytes)
	}
	batch := q.head(7, 1<<30)
	q.remove(batch[6].number)
	again := spooled(t, cfg) // the first was killed
	if waiting, _, _ := again.size(); waiting != 113 {
		t.Errorf("%d wait, want 113", waiting)
	}
	put(again, 121, 125, 100)
	if got := take(t, again, 10); !slices.Equal(got, span(8, 125)) {
		t.Errorf("got %v", got)
	}
	if waiting, bytes, dropped := again.size(); waiting != 0 || bytes != 0 || dropped != 0 {
		t.Errorf("%d snapshots, %d bytes, %d dropped", waiting, bytes, dropped)
	}
	if got := take(t, spooled(t, cfg), 10); len(got) != 0 {
		t.Errorf("they come once more: %v", got)
	}
}

// While nothing can be written, snapshots wait in memory; they come after those on disk.
func TestQueueWhenTheDiskRefuses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "spool")
	q := spooled(t, spool.Config{Dir: dir, SegmentBytes: 1})
	put(q, 1, 50, 100_000) // so many that some are on disk alone
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	put(q, 51, 60, 100)
	if waiting, _, _ := q.size(); waiting != 60 || !q.failing {
		t.Errorf("%d wait", waiting)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	put(q, 61, 70, 100)
	if q.failing {
		t.Error("it was not noticed that the disk takes them again")
	}
	if got := take(t, q, 9); !slices.Equal(got, span(1, 70)) {
		t.Errorf("got %v", got)
	}
}

// In memory alone there is a bound too.
func TestQueueWhenTheDiskRefusesForLong(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "spool")
	q := spooled(t, spool.Config{Dir: dir, SegmentBytes: 1})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	dropped := put(q, 1, 250, 100_000) // 25 MB
	if q.extraBytes > q.limit || dropped == 0 || dropped%10 != 0 {
		t.Errorf("%d bytes, %d dropped", q.extraBytes, dropped)
	}
	if got := take(t, q, 9); !slices.Equal(got, span(dropped+1, 250)) {
		t.Errorf("got %v after %d were dropped", got, dropped)
	}
}

// At the bound of the disk the oldest go, as whole runs, and are counted.
func TestQueueAtTheBoundOfTheDisk(t *testing.T) {
	t.Parallel()
	cfg := spool.Config{Dir: t.TempDir(), MaxBytes: 2_000_000, SegmentBytes: 150_000}
	q := spooled(t, cfg)
	dropped := put(q, 1, 400, 20_000)
	if dropped == 0 || dropped%10 != 0 {
		t.Errorf("%d dropped", dropped)
	}
	if _, bytes, counted := q.size(); counted != dropped || bytes > 2_000_000 {
		t.Errorf("%d counted of %d, %d bytes", counted, dropped, bytes)
	}
	if got := take(t, q, 9); !slices.Equal(got, span(dropped+1, 400)) {
		t.Errorf("got %v after %d were dropped", got, dropped)
	}
}

// A refused run is dropped as a whole, wherever it is.
func TestDropChainReachesIntoTheSpool(t *testing.T) {
	t.Parallel()
	q := spooled(t, spool.Config{Dir: t.TempDir(), SegmentBytes: 150_000})
	put(q, 1, 60, 500_000)
	head := q.head(1, 1)
	if n := len(q.dropChain(head[0].number)); n != 10 {
		t.Errorf("%d dropped", n)
	}
	if got := take(t, q, 9); !slices.Equal(got, span(11, 60)) {
		t.Errorf("got %v", got)
	}
}

// Whatever happens in whatever order, nothing is lost, nothing comes twice and nothing
// out of order.
func TestQueueAgainstAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "model")
		if err != nil {
			rt.Fatal(err)
		}
		cfg := spool.Config{
			Dir:          filepath.Join(dir, "spool"),
			SegmentBytes: int64(rapid.IntRange(1, 5000).Draw(rt, "segment")),
		}
		start := func() *queue {
			q := spooled(t, cfg)
			q.window = 4000
			return q
		}
		q := start()
		var model []int
		last, away := 0, false
		memoryOnly := map[int]bool{}
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				n, size := rapid.IntRange(1, 12).
					Draw(rt, "n"),
					rapid.SampledFrom([]int{10, 1000, 3000}).
						Draw(rt, "size")
				for range n {
					last++
					put(q, last, last, size)
					model = append(model, last)
					memoryOnly[last] = q.failing
				}
			},
			"send": func(rt *rapid.T) {
				batch := q.head(rapid.IntRange(1, 20).Draw(rt, "most"), 5000)
				if len(batch) == 0 {
					if len(model) > 0 && !away { // what cannot be read holds up what is after it
						rt.Fatalf("nothing comes, %v wait", model)
					}
					return
				}
				for i, s := range batch {
					if int(s.at) != model[i] {
						rt.Fatalf("%d came, want %d", s.at, model[i])
					}
				}
				if away { // what is done cannot be noted: it would come again after a kill
					return
				}
				q.remove(batch[len(batch)-1].number)
				model = model[len(batch):]
			},
			"kill": func(rt *rapid.T) {
				if away {
					return
				}
				q = start()
				model = slices.DeleteFunc(model, func(n int) bool { return memoryOnly[n] })
			},
			"the disk refuses": func(*rapid.T) {
				if !away {
					away = os.Rename(cfg.Dir, cfg.Dir+".away") == nil
				}
			},
			"the disk takes": func(*rapid.T) {
				if away {
					away = os.Rename(cfg.Dir+".away", cfg.Dir) != nil
				}
			},
			"": func(rt *rapid.T) {
				if waiting, _, dropped := q.size(); dropped != 0 ||
					waiting != len(model) &&
						(!q.behind || waiting < len(model)) { // numbers of what was never written are told of until it is read
					rt.Fatalf("%d wait and %d were dropped, want %d", waiting, dropped, len(model))
				}
			},
		})
		q.close()
	})
}

// BenchmarkHourWithoutServer tells what an hour of 300 processes every 5 s, of which an
// eighth is busy, takes on disk, and what writing one snapshot costs.
func BenchmarkHourWithoutServer(b *testing.B) {
	machine := snapshottest.NewMachine(1, 300)
	machine.Churn, machine.Busy = 0.0005, 0.125
	series := machine.Series(1_780_000_000_000, 720, 5*time.Second, 12)
	var encoded []queued
	for i := range series.Snapshots {
		s := &series.Snapshots[i]
		data, err := json.Marshal(s)
		if err != nil {
			b.Fatal(err)
		}
		encoded = append(encoded, queued{at: s.Timestamp, kind: s.Kind, json: data})
	}
	for b.Loop() {
		q := spooled(b, spool.Config{Dir: b.TempDir()})
		for _, s := range encoded {
			q.add(s)
		}
		b.ReportMetric(24*float64(q.spool.Bytes())/1e6, "MB/day")
		b.ReportMetric(float64(q.spool.Bytes())/float64(720*300), "B/sample")
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(720*b.N), "µs/snapshot")
}
