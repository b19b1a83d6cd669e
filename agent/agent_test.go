package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"

	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

func quiet() *slog.Logger { return testlog.Logger() }

// madeUp is a processReader on a made-up machine, so that time can be made up too.
type madeUp struct{ machine *snapshottest.Machine }

func (madeUp) close() {}

func (m madeUp) read(context.Context, wanted, bool) ([]rawProcess, error) {
	var list []rawProcess
	for _, p := range m.machine.Step(snapshot.TimeOf(time.Now())) {
		list = append(
			list,
			rawProcess{
				ProcessKey: p.ProcessKey,
				Identity:   p.Identity,
				state:      p.State,
				memory:     *p.MemoryUsage,
				threads:    *p.Threads,
			},
		)
	}
	return list, nil
}

func madeUpRecorder(limit int) *recorder {
	s := &sampler{
		processes: madeUp{snapshottest.NewMachine(1, 10)},
		system:    &systemReader{},
		forks:     func() int64 { return unknown },
		logger:    quiet(),
	}
	return newRecorder(s, newQueue(limit), quiet(), time.Minute)
}

func decodeQueue(t *testing.T, q *queue) []snapshot.Snapshot {
	t.Helper()
	var list []snapshot.Snapshot
	for _, waiting := range q.head(1<<20, 1<<30) {
		var s snapshot.Snapshot
		if err := json.Unmarshal(waiting.json, &s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

// What is excluded leaves no trace from then on, and has not ended: the list begins anew.
func TestExcludedAreNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := madeUpRecorder(1 << 30)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.run(ctx); close(done) }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		before := decodeQueue(t, r.queue)
		name := before[0].Processes[0].Name
		r.configure(snapshot.Config{PollingInterval: 5, Enabled: true, Exclude: []string{name[:2] + "*"}})
		time.Sleep(time.Minute)
		synctest.Wait()
		cancel()
		<-done
		after := decodeQueue(t, r.queue)[len(before):]
		if len(after) < 10 || after[0].Kind != snapshot.KindFull || len(after[0].Processes) == 0 {
			t.Fatalf("%d snapshots, the first %+v", len(after), after[0])
		}
		for _, s := range after {
			for _, p := range s.Processes {
				if strings.HasPrefix(p.Name, name[:2]) {
					t.Fatalf("%s is recorded", p.Name)
				}
			}
		}
	})
}

func TestCadenceFollowsTheConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := madeUpRecorder(1 << 30)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.run(ctx); close(done) }()
		count := func() int { n, _, _ := r.queue.size(); return n }
		advance := func(d time.Duration) int {
			before := count()
			time.Sleep(d)
			synctest.Wait()
			return count() - before
		}
		if n := advance(1500 * time.Millisecond); n != 2 {
			t.Errorf("at start: %d snapshots, want a second one after a second", n)
		}
		if n := advance(60 * time.Second); n != 12 {
			t.Errorf("at 5 s: %d snapshots a minute", n)
		}
		r.configure(snapshot.Config{PollingInterval: 1, Enabled: true})
		if n := advance(10 * time.Second); n < 10 || n > 11 {
			t.Errorf("at 1 s: %d snapshots in 10 s", n)
		}
		r.configure(snapshot.Config{PollingInterval: 1, Enabled: false})
		if n := advance(time.Hour); n != 0 {
			t.Errorf("disabled: %d snapshots", n)
		}
		r.configure(snapshot.Config{PollingInterval: 0.001, Enabled: true}) // an unsound interval is cut
		if n := advance(10 * time.Second); n < 20 || n > 21 {
			t.Errorf("at the least interval: %d snapshots in 10 s", n)
		}
		cancel()
		<-done
		list := decodeQueue(t, r.queue)
		var previous, lastFull snapshot.Time
		for i, s := range list {
			full := s.Kind == snapshot.KindFull
			switch {
			case i == 0 && !full:
				t.Error("the first snapshot is not full")
			case !full && s.Previous != previous:
				t.Errorf("%s rests on %s, but %s is before it", s.Timestamp, s.Previous, previous)
			case !full && s.Timestamp.Sub(lastFull) > time.Minute:
				t.Errorf("no full snapshot for %s", s.Timestamp.Sub(lastFull))
			case !full && s.Timestamp.Sub(previous) > 10*time.Second:
				t.Errorf("changes after a gap of %s", s.Timestamp.Sub(previous))
			}
			if previous = s.Timestamp; full {
				lastFull = s.Timestamp
			}
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	q := newQueue(100)
	add := func(at int, kind snapshot.Kind, size int) int {
		return q.add(queued{at: snapshot.Time(at), kind: kind, json: make([]byte, size)})
	}
	ats := func() (list []int) {
		for _, s := range q.head(100, 1000) {
			list = append(list, int(s.at))
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
	if dropped := add(6, snapshot.KindChanges, 1); dropped != 3 || !slices.Equal(ats(), []int{4, 5, 6}) {
		t.Errorf("dropped %d, left %v: the oldest run goes as a whole", dropped, ats())
	}
	if head := q.head(2, 1000); len(head) != 2 {
		t.Errorf("%d of at most 2", len(head))
	}
	if head := q.head(10, 25); len(head) != 1 {
		t.Errorf("%d within 25 bytes", len(head))
	}
	if head := q.head(10, 5); len(head) != 1 {
		t.Errorf("%d: at least one, however large", len(head))
	}
	q.remove(4) // the fourth snapshot is of the instant 4
	if n := len(q.dropChain(4)); n != 0 || !slices.Equal(ats(), []int{5, 6}) {
		t.Errorf("dropped %d of what is gone already, left %v", n, ats())
	}
	if n := len(q.dropChain(5)); n != 2 {
		t.Errorf("dropped %d", n)
	}
	if dropped := add(7, snapshot.KindFull, 101); dropped != 1 {
		t.Errorf("one over the bound by itself: %d dropped", dropped)
	}
	if n, bytes, dropped := q.size(); n != 0 || bytes != 0 || dropped != 6 {
		t.Errorf("%d snapshots, %d bytes, %d dropped", n, bytes, dropped)
	}
}

// scripted is a server that answers posts from a script and keeps what it took.
type scripted struct {
	mu     sync.Mutex
	script []func(w http.ResponseWriter, batch *snapshot.Batch) bool // true if it answered
	taken  []snapshot.Time
	posts  int
	named  int           // registrations
	seen   chan struct{} // gets a token a post
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/v1/machines" {
		s.mu.Lock()
		s.named++
		s.mu.Unlock()
		_, _ = io.WriteString(w, `{"machine_id":"m","polling_interval":5,"enabled":true}`)
		return
	}
	decoder, err := zstd.NewReader(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer decoder.Close()
	body, _ := io.ReadAll(decoder)
	batch, err := snapshot.DecodeBatch(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.seen <- struct{}{} }()
	s.posts++
	if len(s.script) > 0 {
		step := s.script[0]
		s.script = s.script[1:]
		if step(w, batch) {
			return
		}
	}
	for i := range batch.Snapshots {
		s.taken = append(s.taken, batch.Snapshots[i].Timestamp)
	}
	_, _ = io.WriteString(
		w,
		`{"stored":1,"duplicates":0,"config":{"polling_interval":2,"enabled":true},"config_version":2}`,
	)
}

func refuse(status int, body string, header ...string) func(http.ResponseWriter, *snapshot.Batch) bool {
	return func(w http.ResponseWriter, _ *snapshot.Batch) bool {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}
}

func TestSenderVerdicts(t *testing.T) {
	// Each case queues 1 F, 2 c, 3 c, 4 F, 5 c (F full, c changes) and looks at
	// what the server has in the end.
	for name, test := range map[string]struct {
		script   []func(http.ResponseWriter, *snapshot.Batch) bool
		taken    []snapshot.Time
		needFull bool
		// aside is what is set aside, in one file.
		aside []snapshot.Time
	}{
		"all is well":    {nil, []snapshot.Time{1, 2, 3, 4, 5}, false, nil},
		"busy":           {[]func(http.ResponseWriter, *snapshot.Batch) bool{refuse(503, `{"code":"queue_full"}`, "Retry-After", "0"), refuse(429, ``)}, []snapshot.Time{1, 2, 3, 4, 5}, false, nil},
		"server's fault": {[]func(http.ResponseWriter, *snapshot.Batch) bool{refuse(500, `oops`)}, []snapshot.Time{1, 2, 3, 4, 5}, false, nil},
		"not allowed":    {[]func(http.ResponseWriter, *snapshot.Batch) bool{refuse(401, `{}`)}, []snapshot.Time{1, 2, 3, 4, 5}, false, nil},
		"too large":      {[]func(http.ResponseWriter, *snapshot.Batch) bool{refuse(413, `{}`), refuse(413, `{}`)}, []snapshot.Time{1, 2, 3, 4, 5}, false, nil},
		"poison inside":  {[]func(http.ResponseWriter, *snapshot.Batch) bool{refuse(422, `{"snapshot":3}`), nil, refuse(422, `{"snapshot":0}`)}, []snapshot.Time{1, 2, 3}, true, []snapshot.Time{4, 5}},
		"poison first":   {[]func(http.ResponseWriter, *snapshot.Batch) bool{refuse(422, `{"snapshot":0}`)}, []snapshot.Time{4, 5}, true, []snapshot.Time{1, 2, 3}},
		"full needed":    {[]func(http.ResponseWriter, *snapshot.Batch) bool{refuse(409, `{"code":"full_snapshot_needed","snapshot":0}`)}, []snapshot.Time{4, 5}, true, []snapshot.Time{1, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &scripted{script: test.script, seen: make(chan struct{}, 100)}
			for i, step := range server.script {
				if step == nil {
					server.script[i] = func(http.ResponseWriter, *snapshot.Batch) bool { return false }
				}
			}
			web := httptest.NewServer(server)
			defer web.Close()
			dir := t.TempDir()
			a, err := New(
				t.Context(), Config{Server: web.URL, StateDir: dir, MachineID: "m", Token: "the test's"}, quiet(),
			)
			if err != nil {
				t.Fatal(err)
			}
			a.sender.refusedWait = 0
			for i := 1; i <= 5; i++ {
				kind := snapshot.KindChanges
				if i == 1 || i == 4 {
					kind = snapshot.KindFull
				}
				text := fmt.Sprintf(`{"timestamp":"%s","kind":"%s"}`, snapshot.Time(i), kind)
				a.sender.queue.add(queued{at: snapshot.Time(i), kind: kind, json: []byte(text)})
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			done := make(chan struct{})
			go func() { a.sender.run(ctx); close(done) }()
			for waiting := 5; waiting > 0; waiting, _, _ = a.sender.queue.size() {
				select {
				case <-server.seen:
				case <-ctx.Done():
					t.Fatal("the queue never emptied")
				case <-time.After(time.Millisecond):
				}
			}
			cancel()
			<-done
			server.mu.Lock()
			defer server.mu.Unlock()
			if !slices.Equal(server.taken, test.taken) {
				t.Errorf("the server has %d, want %d", server.taken, test.taken)
			}
			if a.recorder.needFull != test.needFull {
				t.Errorf("a full snapshot is due: %v", a.recorder.needFull)
			}
			if aside := asideIn(t, dir); !slices.Equal(aside, test.aside) {
				t.Errorf("%v are set aside, want %v", aside, test.aside)
			}
			if a.recorder.current().PollingInterval != 2 {
				t.Error("the config of the answer was not obeyed")
			}
		})
	}
}

// Settings of a newer server are ignored with a word, which is said once.
func TestUnknownSettingsAreIgnored(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/machines" {
			_, _ = io.WriteString(w, `{"machine_id":"m","polling_interval":5,"enabled":true}`)
			return
		}
		_, _ = io.WriteString(
			w,
			`{"stored":1,"config":{"polling_interval":2,"enabled":true,"omit":["io","auras"],"brightness":{"of":[1,2]}},"config_version":2}`,
		)
	}))
	defer web.Close()
	var told strings.Builder
	a, err := New(
		t.Context(), Config{Server: web.URL, StateDir: t.TempDir(), MachineID: "m", Token: "the test's"},
		slog.New(slog.NewTextHandler(&told, nil)),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.lock.Close() }()
	for range 3 {
		if _, err := a.sender.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.recorder.current(); got.PollingInterval != 2 || !got.Omits(snapshot.PartProcessIO) {
		t.Errorf("it obeys %+v", got)
	}
	if n := strings.Count(told.String(), `settings="[brightness omit auras]"`); n != 1 {
		t.Errorf("it was told %d times:\n%s", n, &told)
	}
}

// asideIn reads what was set aside: each file is a batch to be posted, with a reason.
func asideIn(t *testing.T, dir string) (list []snapshot.Time) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "refused", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		batch, err := snapshot.DecodeBatch(text)
		if err != nil || batch.MachineID != "m" || !strings.Contains(string(text), `"refused":"4`) {
			t.Fatalf("%s: %v", text, err)
		}
		for i := range batch.Snapshots {
			list = append(list, batch.Snapshots[i].Timestamp)
		}
	}
	return list
}

// A machine that was deleted on the server registers again with its next post.
func TestForgottenMachineRegistersAgain(t *testing.T) {
	t.Parallel()
	forgotten := func(w http.ResponseWriter, _ *snapshot.Batch) bool {
		_, _ = io.WriteString(
			w,
			`{"stored":0,"duplicates":0,"config":{"polling_interval":5,"enabled":true},"config_version":1,"unregistered":true}`,
		)
		return true
	}
	server := &scripted{
		script: []func(http.ResponseWriter, *snapshot.Batch) bool{forgotten},
		seen:   make(chan struct{}, 100),
	}
	web := httptest.NewServer(server)
	defer web.Close()
	a, err := New(
		t.Context(), Config{Server: web.URL, StateDir: t.TempDir(), MachineID: "m", Token: "the test's"}, quiet(),
	)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := a.sender.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if server.named != 2 || server.posts != 3 {
		t.Errorf("%d registrations, %d posts", server.named, server.posts)
	}
}

// The last config is obeyed from the start, before the server answers.
func TestConfigOutlivesTheAgent(t *testing.T) {
	cfg := Config{Server: "http://127.0.0.1:1", StateDir: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i, want := range []snapshot.Config{snapshot.DefaultConfig(), {PollingInterval: 7, Exclude: []string{"kworker*"}}, {PollingInterval: 9, Enabled: true}, snapshot.DefaultConfig()} {
		a, err := New(t.Context(), cfg, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if got := a.recorder.current(); !got.Equal(want) {
			t.Errorf("start %d: %+v, want %+v", i, got, want)
		}
		switch i {
		case 0:
			a.recorder.configure(snapshot.Config{PollingInterval: 7, Exclude: []string{"kworker*"}})
		case 1:
			a.recorder.configure(snapshot.Config{PollingInterval: 9, Enabled: true})
		case 2:
			if err := os.WriteFile(filepath.Join(cfg.StateDir, "config"), []byte("{torn"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		a.Run(ctx)
	}
}

func TestMachineIDIsStable(t *testing.T) {
	state := t.TempDir()
	first, err := machineID(state)
	if err != nil || len(first) != 32 {
		t.Fatalf("%q, %v", first, err)
	}
	if second, err := machineID(state); err != nil || second != first {
		t.Errorf("%q, then %q (%v)", first, second, err)
	}
	if system := systemMachineID(); system != "" && first == system {
		t.Error("the system's confidential id was given away")
	}
	if err := os.WriteFile(filepath.Join(state, "machine-id"), []byte("chosen\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept, err := machineID(state); err != nil || kept != "chosen" {
		t.Errorf("%q, %v", kept, err)
	}
}

func TestTwoAgentsOfOneMachine(t *testing.T) {
	cfg := Config{Server: "http://127.0.0.1:1", StateDir: t.TempDir()}
	a, err := New(t.Context(), cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), cfg, quiet()); err == nil {
		t.Error("a second agent was let in")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.Run(ctx)
	if _, err := New(t.Context(), cfg, quiet()); err != nil {
		t.Errorf("after the first ended: %v", err)
	}
	for _, bad := range []string{"", "localhost:8420", "ftp://x", "http://"} {
		if _, err := New(t.Context(), Config{Server: bad, StateDir: t.TempDir()}, quiet()); err == nil {
			t.Errorf("the server %q was accepted", bad)
		}
	}
}
