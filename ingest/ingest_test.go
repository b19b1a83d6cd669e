package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/ingest"
	"github.com/snapwatch/snapwatch/internal/metricstest"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(storetest.Main(m))
}

// gate holds commits to the real store until it is opened, and tells when one waits.
type gate struct {
	store   *store.Store
	waiting chan int // the size of each group that arrives
	open    chan struct{}
}

func (g *gate) Write(ctx context.Context, group []*snapshot.Batch) []snapshot.WriteResult {
	g.waiting <- len(group)
	<-g.open
	return g.store.Write(ctx, group)
}

func serve(t testing.TB, cfg ingest.Config, writer ingest.Writer) (*ingest.Ingest, string) {
	t.Helper()
	return serveWith(t, cfg, writer, prometheus.NewRegistry())
}

func serveWith(
	t testing.TB, cfg ingest.Config, writer ingest.Writer, registry *prometheus.Registry,
) (*ingest.Ingest, string) {
	t.Helper()
	in := ingest.New(cfg, writer, storetest.Logger(), registry)
	engine := gin.New()
	engine.POST("/", in.Handle)
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	t.Cleanup(in.Close)
	return in, server.URL
}

type answer struct {
	status int
	header http.Header
	ack    snapshot.Ack
	problem.Problem
}

func post(t testing.TB, url string, body []byte, header ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := answer{status: response.StatusCode, header: response.Header}
	if response.StatusCode < 300 {
		err = json.Unmarshal(text, &got.ack)
	} else {
		err = json.Unmarshal(text, &got.Problem)
		if kind := response.Header.Get("Content-Type"); kind != "application/problem+json" {
			t.Errorf("an error came as %s", kind)
		}
	}
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return got
}

func encode(t testing.TB, machineID string, snapshots ...snapshot.Snapshot) []byte {
	t.Helper()
	body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: machineID, Snapshots: snapshots})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func series(seed uint64, n int) []snapshot.Snapshot {
	return snapshottest.NewMachine(seed, 20).
		Series(snapshot.TimeOf(time.Now().Add(-time.Hour)), n, time.Second, n).
		Snapshots
}

func zipped(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(t testing.TB, plain []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(plain, nil)
}

func TestPost(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, nil)
	_, url := serve(t, ingest.Config{}, s)
	snapshots := series(1, 3)
	for _, test := range []struct {
		name, encoding string
		body           []byte
		status         int
		stored, twice  int
	}{
		{"plain", "", encode(t, "m", snapshots[:1]...), 201, 1, 0},
		{"gzip", "gzip", zipped(t, encode(t, "m", snapshots[:2]...)), 201, 1, 1},
		{"zstd", "zstd", zstandard(t, encode(t, "m", snapshots...)), 201, 1, 2},
		{"again", "identity", encode(t, "m", snapshots...), 201, 0, 3},
		{"heartbeat", "", encode(t, "m"), 200, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := post(t, url, test.body, "Content-Encoding", test.encoding)
			if got.status != test.status || got.ack.Stored != test.stored || got.ack.Duplicates != test.twice {
				t.Fatalf("%d %+v %s", got.status, got.ack, got.Detail)
			}
			if !got.ack.Config.Equal(snapshot.DefaultConfig()) || got.ack.ConfigVersion != 1 {
				t.Errorf("config %+v, version %d", got.ack.Config, got.ack.ConfigVersion)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, nil)
	_, url := serve(t, ingest.Config{}, s)
	good := encode(t, "m", series(1, 1)...)
	bomb := bytes.Repeat([]byte(" "), snapshot.MaxDecompressedBytes+1)
	noise := make([]byte, snapshot.MaxBodyBytes+1)
	_, _ = rand.Read(noise)
	bad := `{"machine_id":"m-7","snapshots":[{"timestamp":"2026-11-23T03:12:00Z"},{"timestamp":"2026-11-23T03:12:01Z","processes":[{"pid":-4,"ppid":0,"name":"x"}]}]}`
	for _, test := range []struct {
		name   string
		body   []byte
		header []string
		status int
		code   string
		check  func(answer) bool
	}{
		{"form", good, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type", nil},
		{"unknown encoding", good, []string{"Content-Encoding", "br"}, 415, "unsupported_encoding", func(a answer) bool { return a.header.Get("Accept-Encoding") == "gzip, zstd" }},
		{"not gzip", good, []string{"Content-Encoding", "gzip"}, 400, "unreadable_body", nil},
		{"not zstd", good, []string{"Content-Encoding", "zstd"}, 400, "unreadable_body", nil},
		{"torn gzip", zipped(t, good)[:50], []string{"Content-Encoding", "gzip"}, 400, "unreadable_body", nil},
		{"gzip bomb", zipped(t, bomb), []string{"Content-Encoding", "gzip"}, 413, "body_too_large", func(a answer) bool { return a.Limit == snapshot.MaxDecompressedBytes }},
		{"zstd bomb", zstandard(t, bomb), []string{"Content-Encoding", "zstd"}, 413, "body_too_large", func(a answer) bool { return a.Limit == snapshot.MaxDecompressedBytes }},
		{"too long", noise, nil, 413, "body_too_large", func(a answer) bool { return a.Limit == snapshot.MaxBodyBytes }},
		{"not JSON", []byte("hello"), nil, 400, "malformed_json", nil},
		{"bad field", []byte(bad), nil, 422, "invalid_field", func(a answer) bool {
			return a.MachineID == "m-7" && a.Snapshot != nil && *a.Snapshot == 1 && a.Field == "snapshots[1].processes[0].pid"
		}},
		{"changes first", encode(t, "m", series(1, 2)[1]), nil, 409, "full_snapshot_needed", func(a answer) bool { return a.Snapshot != nil && *a.Snapshot == 0 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := post(t, url, test.body, test.header...)
			if got.status != test.status || got.Code != test.code || test.check != nil && !test.check(got) {
				t.Errorf("%d %+v", got.status, got.Problem)
			}
		})
	}
	if _, _, err := s.Snapshots(t.Context(), "m-7", query.Range{Limit: 1}); err == nil {
		t.Error("a refused batch left its machine behind")
	}
}

func TestClocks(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	_, url := serve(
		t,
		ingest.Config{
			Horizon: func() snapshot.Time { return snapshot.TimeOf(now.Add(-time.Hour)) },
			Now:     func() time.Time { return now },
		},
		storetest.Open(t, nil),
	)
	for _, test := range []struct {
		name   string
		offset time.Duration
		status int
		code   string
	}{
		{"just in time", snapshot.MaxClockSkew, 201, ""},
		{"future", snapshot.MaxClockSkew + time.Millisecond, 422, "timestamp_in_future"},
		{"oldest kept", -time.Hour, 201, ""},
		{"too old", -time.Hour - time.Millisecond, 422, "timestamp_too_old"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ts := snapshot.TimeOf(now.Add(test.offset))
			got := post(t, url, encode(t, "m", snapshot.Snapshot{Timestamp: ts}))
			if got.status != test.status || got.Code != test.code {
				t.Fatalf("%d %+v", got.status, got.Problem)
			}
			if test.code != "" && (got.Timestamp != ts || got.ServerTime != snapshot.TimeOf(now)) {
				t.Errorf("the clocks in the answer are %s and %s", got.Timestamp, got.ServerTime)
			}
		})
	}
}

// A bad batch among concurrent ones is refused alone.
func TestNeighboursOfABadBatch(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, nil)
	g := &gate{store: s, waiting: make(chan int, 10), open: make(chan struct{})}
	_, url := serve(t, ingest.Config{GroupWait: 50 * time.Millisecond}, g)
	var wg sync.WaitGroup
	answers := make([]answer, 10)
	wg.Go(func() { post(t, url, encode(t, "first", series(1, 1)...)) })
	<-g.waiting // a group is at the gate: what comes now gathers behind it
	for i := range answers {
		snapshots := series(uint64(i), 2)
		if i == 4 {
			snapshots = snapshots[1:] // changes without their full
		}
		wg.Go(func() { answers[i] = post(t, url, encode(t, fmt.Sprintf("m-%d", i), snapshots...)) })
	}
	close(g.open)
	wg.Wait()
	for i, got := range answers {
		if i == 4 && got.Code != "full_snapshot_needed" || i != 4 && got.ack.Stored != 2 {
			t.Errorf("batch %d: %d %+v %s", i, got.status, got.ack, got.Detail)
		}
	}
}

func TestFullQueueIsRefusedAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, nil)
	g := &gate{store: s, waiting: make(chan int, 10), open: make(chan struct{})}
	registry := prometheus.NewRegistry()
	_, url := serveWith(t, ingest.Config{QueueRows: 100, GroupRows: 30}, g, registry)
	accepted := make(chan answer, 4)
	send := func(i int) { accepted <- post(t, url, encode(t, fmt.Sprintf("m-%d", i), series(uint64(i), 1)...)) }
	go send(0) // 24 rows each: 20 processes, a disk, an interface, the snapshot, the post
	<-g.waiting
	for i := range 3 {
		go send(i + 1)
	}
	for metricstest.Value(t, registry, "snapwatch_ingest_queue_rows") < 96 {
		runtime.Gosched()
	}
	refused := post(t, url, encode(t, "m-9", series(9, 1)...))
	if refused.Code != "queue_full" || refused.header.Get("Retry-After") == "" {
		t.Fatalf("%+v", refused.Problem)
	}
	close(g.open)
	for range 4 {
		if got := <-accepted; got.ack.Stored != 1 {
			t.Errorf("an accepted post got %d %+v", got.status, got.Problem)
		}
	}
}

func TestBodiesShareABudget(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, nil)
	_, url := serve(t, ingest.Config{BodyBytes: 100_000}, s)
	small, large := encode(t, "m", series(1, 1)...), append(encode(t, "m"), bytes.Repeat([]byte(" "), 200_000)...)
	if got := post(t, url, large); got.status != 503 || got.Code != "busy" || got.header.Get("Retry-After") == "" {
		t.Fatalf("%d %+v", got.status, got.Problem)
	}
	for range 3 { // what was held is given back
		if got := post(t, url, small); got.status != 201 {
			t.Fatalf("%d %+v", got.status, got.Problem)
		}
	}
}

func TestCloseCommitsWhatWasAccepted(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, nil)
	g := &gate{store: s, waiting: make(chan int, 10), open: make(chan struct{})}
	in, url := serve(t, ingest.Config{}, g)
	answers := make(chan answer, 1)
	go func() { answers <- post(t, url, encode(t, "m", series(1, 2)...)) }()
	<-g.waiting
	closed := make(chan struct{})
	go func() { in.Close(); close(closed) }()
	close(g.open)
	if got := <-answers; got.ack.Stored != 2 {
		t.Errorf("%d %+v", got.status, got.Problem)
	}
	<-closed
	if got := post(t, url, encode(t, "m", series(2, 1)...)); got.status != 503 || got.Code != "shutting_down" {
		t.Errorf("after Close: %d %+v", got.status, got.Problem)
	}
}

func TestDatabaseFailureIsTheServersFault(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, nil)
	_, url := serve(t, ingest.Config{}, s)
	s.Close()
	got := post(t, url, encode(t, "m", series(1, 1)...))
	if got.status != 503 || got.Code != "database_unavailable" || got.header.Get("Retry-After") == "" ||
		strings.Contains(got.Detail, "pool") {
		t.Errorf("%d %+v", got.status, got.Problem)
	}
}

func BenchmarkPostFull(b *testing.B) {
	_, url := serve(b, ingest.Config{}, storetest.Open(b, nil))
	full := snapshottest.NewMachine(1, 300).
		Series(snapshot.TimeOf(time.Now().Add(-20*time.Hour)), 2000, time.Second, 1).
		Snapshots
	bodies := make([][]byte, len(full))
	for i := range full {
		bodies[i] = zipped(b, encode(b, "m", full[i]))
	}
	n := 0
	for b.Loop() {
		if got := post(b, url, bodies[n%len(bodies)], "Content-Encoding", "gzip"); got.status != 201 {
			b.Fatal(got.Detail)
		}
		n++
	}
	b.ReportMetric(float64(300*n)/b.Elapsed().Seconds(), "samples/s")
}
