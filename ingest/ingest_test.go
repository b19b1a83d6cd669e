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
	"github.com/snapwatch/snapwatch/internal/testwait"
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

// blockingWriter delays all commits to a store until open is closed.
type blockingWriter struct {
	store   *store.Store
	waiting chan int // receives the size of each group before it waits
	open    chan struct{}
}

func newBlockingWriter(s *store.Store) *blockingWriter {
	return &blockingWriter{store: s, waiting: make(chan int, 10), open: make(chan struct{})}
}

func (w *blockingWriter) Write(ctx context.Context, group []*snapshot.Batch) []snapshot.WriteResult {
	w.waiting <- len(group)
	<-w.open
	return w.store.Write(ctx, group)
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

type response struct {
	status int
	header http.Header
	ack    snapshot.Ack
	problem.Problem
}

func post(t testing.TB, url string, body []byte, header ...string) response {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := response{status: reply.StatusCode, header: reply.Header}
	if reply.StatusCode < 300 {
		err = json.Unmarshal(text, &got.ack)
	} else {
		err = json.Unmarshal(text, &got.Problem)
		if kind := reply.Header.Get("Content-Type"); kind != "application/problem+json" {
			t.Errorf("an error has the Content-Type %s", kind)
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
		Series(snapshot.TimeOf(time.Now().Add(-time.Hour).Truncate(time.Hour)), n, time.Second, n).
		Snapshots
}

func gzipped(t testing.TB, plain []byte) []byte {
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

func zstdCompressed(t testing.TB, plain []byte) []byte {
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
		{"gzip", "gzip", gzipped(t, encode(t, "m", snapshots[:2]...)), 201, 1, 1},
		{"zstd", "zstd", zstdCompressed(t, encode(t, "m", snapshots...)), 201, 1, 2},
		{"all again", "identity", encode(t, "m", snapshots...), 201, 0, 3},
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

func TestRejectedPosts(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, nil)
	_, url := serve(t, ingest.Config{}, s)
	good := encode(t, "m", series(1, 1)...)
	bomb := bytes.Repeat([]byte(" "), snapshot.MaxDecompressedBytes+1)
	noise := make([]byte, snapshot.MaxBodyBytes+1)
	_, _ = rand.Read(noise)
	bad := `{"machine_id":"m-7","snapshots":[{"timestamp":"2026-11-23T03:12:00Z"},` +
		`{"timestamp":"2026-11-23T03:12:01Z","processes":[{"pid":-4,"ppid":0,"name":"x"}]}]}`
	contentType := func(value string) []string { return []string{"Content-Type", value} }
	encoding := func(value string) []string { return []string{"Content-Encoding", value} }
	limit := func(want int64) func(response) bool {
		return func(r response) bool { return r.Limit == want }
	}
	accepts := func(r response) bool { return r.header.Get("Accept-Encoding") == "gzip, zstd" }
	secondSnapshot := func(r response) bool {
		return r.MachineID == "m-7" && r.Snapshot != nil && *r.Snapshot == 1 &&
			r.Field == "snapshots[1].processes[0].pid"
	}
	firstSnapshot := func(r response) bool { return r.Snapshot != nil && *r.Snapshot == 0 }
	changes := encode(t, "m", series(1, 2)[1])
	for _, test := range []struct {
		name   string
		body   []byte
		header []string
		status int
		code   string
		check  func(response) bool
	}{
		{"text/plain", good, contentType("text/plain"), 415, "unsupported_media_type", nil},
		{"unknown encoding", good, encoding("br"), 415, "unsupported_encoding", accepts},
		{"not gzip", good, encoding("gzip"), 400, "unreadable_body", nil},
		{"not zstd", good, encoding("zstd"), 400, "unreadable_body", nil},
		{"truncated gzip", gzipped(t, good)[:50], encoding("gzip"), 400, "unreadable_body", nil},
		{
			"gzip bomb", gzipped(t, bomb), encoding("gzip"), 413, "body_too_large",
			limit(snapshot.MaxDecompressedBytes),
		},
		{
			"zstd bomb", zstdCompressed(t, bomb), encoding("zstd"), 413, "body_too_large",
			limit(snapshot.MaxDecompressedBytes),
		},
		{"body too large", noise, nil, 413, "body_too_large", limit(snapshot.MaxBodyBytes)},
		{"not JSON", []byte("hello"), nil, 400, "malformed_json", nil},
		{"bad field", []byte(bad), nil, 422, "invalid_field", secondSnapshot},
		{"changes first", changes, nil, 409, "full_snapshot_needed", firstSnapshot},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := post(t, url, test.body, test.header...)
			if got.status != test.status || got.Code != test.code || test.check != nil && !test.check(got) {
				t.Errorf("%d %+v", got.status, got.Problem)
			}
		})
	}
	if _, _, err := s.Snapshots(t.Context(), "m-7", query.Range{Limit: 1}); err == nil {
		t.Error("a rejected batch created its machine")
	}
}

func TestTimestampLimits(t *testing.T) {
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
		{"maximum clock skew", snapshot.MaxClockSkew, 201, ""},
		{"too far in the future", snapshot.MaxClockSkew + time.Millisecond, 422, "timestamp_in_future"},
		{"start of the retention period", -time.Hour, 201, ""},
		{"too old", -time.Hour - time.Millisecond, 422, "timestamp_too_old"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ts := snapshot.TimeOf(now.Add(test.offset))
			got := post(t, url, encode(t, "m", snapshot.Snapshot{Timestamp: ts}))
			if got.status != test.status || got.Code != test.code {
				t.Fatalf("%d %+v", got.status, got.Problem)
			}
			if test.code != "" && (got.Timestamp != ts || got.ServerTime != snapshot.TimeOf(now)) {
				t.Errorf("the response has the timestamps %s and %s", got.Timestamp, got.ServerTime)
			}
		})
	}
}

// A bad batch does not affect other batches of its group.
func TestBadBatchIsRejectedAlone(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, nil)
	w := newBlockingWriter(s)
	_, url := serve(t, ingest.Config{GroupWait: 50 * time.Millisecond}, w)
	var wg sync.WaitGroup
	responses := make([]response, 10)
	wg.Go(func() { post(t, url, encode(t, "first", series(1, 1)...)) })
	<-w.waiting // while this group waits, the following posts form the next group
	for i := range responses {
		snapshots := series(uint64(i), 2)
		if i == 4 {
			snapshots = snapshots[1:] // changes without a full snapshot
		}
		wg.Go(func() { responses[i] = post(t, url, encode(t, fmt.Sprintf("m-%d", i), snapshots...)) })
	}
	close(w.open)
	wg.Wait()
	for i, got := range responses {
		if i == 4 && got.Code != "full_snapshot_needed" || i != 4 && got.ack.Stored != 2 {
			t.Errorf("batch %d: %d %+v %s", i, got.status, got.ack, got.Detail)
		}
	}
}

func TestFullQueueRejectsPostsAndKeepsAcceptedOnes(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, nil)
	w := newBlockingWriter(s)
	registry := prometheus.NewRegistry()
	_, url := serveWith(t, ingest.Config{QueueRows: 100, GroupRows: 30}, w, registry)
	accepted := make(chan response, 4)
	send := func(i int) { accepted <- post(t, url, encode(t, fmt.Sprintf("m-%d", i), series(uint64(i), 1)...)) }
	go send(0) // 24 rows: 20 processes, a disk, an interface, the snapshot, and 1 for the post
	<-w.waiting
	for i := range 3 {
		go send(i + 1)
	}
	testwait.Until(t, "four posts to be queued", func() bool {
		return metricstest.Value(t, registry, "snapwatch_ingest_queue_rows") >= 96
	})
	rejected := post(t, url, encode(t, "m-9", series(9, 1)...))
	if rejected.Code != "queue_full" || rejected.header.Get("Retry-After") == "" {
		t.Fatalf("%+v", rejected.Problem)
	}
	close(w.open)
	for range 4 {
		if got := <-accepted; got.ack.Stored != 1 {
			t.Errorf("an accepted post got %d %+v", got.status, got.Problem)
		}
	}
}

func TestBodyBudget(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, nil)
	_, url := serve(t, ingest.Config{BodyBytes: 100_000}, s)
	small, large := encode(t, "m", series(1, 1)...), append(encode(t, "m"), bytes.Repeat([]byte(" "), 200_000)...)
	if got := post(t, url, large); got.status != 503 || got.Code != "busy" || got.header.Get("Retry-After") == "" {
		t.Fatalf("%d %+v", got.status, got.Problem)
	}
	for range 3 { // rejected and finished posts free their memory
		if got := post(t, url, small); got.status != 201 {
			t.Fatalf("%d %+v", got.status, got.Problem)
		}
	}
}

func TestCloseCommitsAcceptedPosts(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, nil)
	w := newBlockingWriter(s)
	in, url := serve(t, ingest.Config{}, w)
	responses := make(chan response, 1)
	go func() { responses <- post(t, url, encode(t, "m", series(1, 2)...)) }()
	<-w.waiting
	closed := make(chan struct{})
	go func() { in.Close(); close(closed) }()
	close(w.open)
	if got := <-responses; got.ack.Stored != 2 {
		t.Errorf("%d %+v", got.status, got.Problem)
	}
	<-closed
	if got := post(t, url, encode(t, "m", series(2, 1)...)); got.status != 503 || got.Code != "shutting_down" {
		t.Errorf("after Close: %d %+v", got.status, got.Problem)
	}
}

func TestDatabaseFailureGivesA503(t *testing.T) {
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
	machine, at := snapshottest.NewMachine(1, 300), snapshot.TimeOf(time.Now().Add(-20*time.Hour))
	bodies := make([][]byte, 100)
	n := 0
	for b.Loop() {
		if n%len(bodies) == 0 {
			b.StopTimer()
			for i, full := range machine.Series(at, len(bodies), time.Second, 1).Snapshots {
				bodies[i] = gzipped(b, encode(b, "m", full))
			}
			at = at.Add(time.Duration(len(bodies)) * time.Second)
			b.StartTimer()
		}
		if got := post(b, url, bodies[n%len(bodies)], "Content-Encoding", "gzip"); got.status != 201 {
			b.Fatal(got.Detail)
		}
		n++
	}
	b.ReportMetric(float64(300*n)/b.Elapsed().Seconds(), "samples/s")
}
