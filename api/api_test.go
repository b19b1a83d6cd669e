package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/api/apitest"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(storetest.Main(m))
}

// testServer is a complete server in the test's process.
type testServer struct {
	t     testing.TB
	store *store.Store
	auth  *auth.Service
	api   *api.API
	url   string
	token string // of an administrator
}

// start starts a server on a database of the postgres profile.
func start(t testing.TB, cfg api.Config) *testServer {
	t.Helper()
	return startOn(t, storetest.Postgres(t), cfg)
}

// eachProfile runs a test with a server of each storage profile.
func eachProfile(t *testing.T, test func(t *testing.T, s *testServer)) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) { test(t, startOn(t, db, api.Config{})) })
}

func startOn(t testing.TB, db storetest.Database, cfg api.Config) *testServer {
	t.Helper()
	return testServerOf(t, apitest.Start(t, db, apitest.Config{Config: cfg}))
}

func testServerOf(t testing.TB, running *apitest.Site) *testServer {
	return &testServer{
		t:     t,
		store: running.Store,
		auth:  running.Auth,
		api:   running.API,
		url:   running.URL,
		token: running.Token,
	}
}

// response is a response of the API.
type response struct {
	status int
	header http.Header
	text   string
}

func (a response) problem(t testing.TB) problem.Problem {
	t.Helper()
	var p problem.Problem
	if err := json.Unmarshal([]byte(a.text), &p); err != nil {
		t.Fatalf("%v in %s", err, a.text)
	}
	return p
}

func decode[T any](t testing.TB, a response) T {
	t.Helper()
	var v T
	if a.status >= 300 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	if err := json.Unmarshal([]byte(a.text), &v); err != nil {
		t.Fatalf("%v in %s", err, a.text)
	}
	return v
}

func (s *testServer) do(method, path, body string, header ...string) response {
	s.t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, s.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			request.Host = header[i+1]
		}
		if request.Header.Set(header[i], header[i+1]); header[i+1] == "" {
			request.Header.Del(header[i])
		}
	}
	httpResponse, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = httpResponse.Body.Close() }()
	text, err := io.ReadAll(httpResponse.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response{httpResponse.StatusCode, httpResponse.Header, string(text)}
}

func (s *testServer) get(format string, args ...any) response {
	s.t.Helper()
	return s.do(http.MethodGet, fmt.Sprintf(format, args...), "")
}

// postSnapshots posts a series as an agent would.
func (s *testServer) postSnapshots(machineID string, start snapshot.Time, n int) snapshottest.Series {
	s.t.Helper()
	series := snapshottest.NewMachine(1, 20).Series(start, n, time.Second, 10)
	body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: machineID, Snapshots: series.Snapshots})
	if err != nil {
		s.t.Fatal(err)
	}
	if ack := decode[snapshot.Ack](s.t, s.do(http.MethodPost, "/api/v1/snapshots", string(body))); ack.Stored != n {
		s.t.Fatalf("stored %d of %d", ack.Stored, n)
	}
	return series
}

// recentTime returns a time ten minutes before the test run.
var recentTime = sync.OnceValue(func() snapshot.Time {
	return snapshot.TimeOf(time.Now().Add(-10 * time.Minute).Truncate(time.Second))
})

type page[T any] struct {
	Results    []T     `json:"results"`
	NextCursor *string `json:"next_cursor"`
}

func TestSnapshotsOfARange(t *testing.T) { eachProfile(t, testSnapshotsOfARange) }

func testSnapshotsOfARange(t *testing.T, s *testServer) {
	series := s.postSnapshots("m", recentTime(), 30)

	latest := decode[page[api.SnapshotView]](t, s.get("/api/v1/machines/m/snapshots")).Results
	if len(latest) != 1 || latest[0].Timestamp != series.Snapshots[29].Timestamp || latest[0].Processes != nil ||
		latest[0].ProcessTree != nil {
		t.Errorf("latest: %+v", latest)
	}
	for _, since := range []string{"15m", "1h", "3h", "1d"} {
		if got := decode[page[api.SnapshotView]](t, s.get("/api/v1/machines/m/snapshots?since=%s&limit=1000", since)).Results; len(
			got,
		) != 30 {
			t.Errorf("since %s: %d snapshots", since, len(got))
		}
	}
	from, to := series.Snapshots[5].Timestamp, series.Snapshots[8].Timestamp
	got := decode[page[api.SnapshotView]](
		t, s.get("/api/v1/machines/m/snapshots?from=%s&to=%s&include_processes=1", from, to),
	).Results
	if len(got) != 4 {
		t.Fatalf("from, to: %d snapshots", len(got))
	}
	for i, view := range got {
		if diff := snapshottest.Diff(view.Processes, series.Truth[5+i]); diff != "" {
			t.Errorf("instant %d: %s", i, diff)
		}
	}
	// An offset in a query must survive: a plus sign may be written as such.
	if got := decode[page[api.SnapshotView]](t, s.get("/api/v1/machines/m/snapshots?from=%s&to=%s", url.QueryEscape(from.Std().In(time.FixedZone("", 3600)).Format(time.RFC3339)), to)).Results; len(
		got,
	) != 4 {
		t.Errorf("with an offset: %d snapshots", len(got))
	}
	var all []snapshot.Time
	for cursor, pages := "", 0; ; pages++ {
		p := decode[page[api.SnapshotView]](t, s.get("/api/v1/machines/m/snapshots?since=1h&limit=7&cursor=%s", cursor))
		for _, view := range p.Results {
			all = append(all, view.Timestamp)
		}
		if p.NextCursor == nil {
			if pages != 4 {
				t.Errorf("%d pages follow the first", pages)
			}
			break
		}
		cursor = *p.NextCursor
	}
	if len(all) != 30 || all[0] != series.Snapshots[0].Timestamp || all[29] != series.Snapshots[29].Timestamp {
		t.Errorf("paging gave %d snapshots", len(all))
	}
}

func TestTreeAndExclude(t *testing.T) { eachProfile(t, testTreeAndExclude) }

func testTreeAndExclude(t *testing.T, s *testServer) {
	body := `{"machine_id":"m","snapshots":[{"timestamp":"%s","processes":[{"pid":1,"ppid":0,"name":"init"},{"pid":2,"ppid":1,"name":"sh","cpu_usage":12.5},{"pid":3,"ppid":2,"name":"sleep"}]}]}`
	decode[snapshot.Ack](t, s.do(http.MethodPost, "/api/v1/snapshots", fmt.Sprintf(body, recentTime())))
	type node struct {
		PID      int      `json:"pid"`
		CPUUsage *float64 `json:"cpu_usage"`
		Children []node   `json:"children"`
	}
	type view struct {
		ProcessTree []node `json:"process_tree"`
		Processes   []node `json:"processes"`
	}
	tree := decode[page[view]](t, s.get("/api/v1/machines/m/snapshots?process_tree=1")).Results[0].ProcessTree
	if len(tree) != 1 || tree[0].Children[0].Children[0].PID != 3 {
		t.Fatalf("tree: %+v", tree)
	}
	if usage := tree[0].Children[0].CPUUsage; usage == nil || *usage != 12.5 || tree[0].CPUUsage != nil {
		t.Errorf("a posted usage must come back, and an unknown one stay null: %v", usage)
	}
	without := decode[view](
		t,
		s.get("/api/v1/machines/m/at?time=%s&process_tree=1&exclude=sh&exclude=nothing", recentTime().Add(time.Minute)),
	)
	if len(without.ProcessTree) != 1 || without.ProcessTree[0].Children[0].PID != 3 {
		t.Errorf("without sh: %+v", without.ProcessTree)
	}
	flat := decode[view](t, s.get("/api/v1/machines/m/at?time=%s&exclude=init", recentTime()))
	if len(flat.Processes) != 2 {
		t.Errorf("without init: %+v", flat.Processes)
	}
	if none := s.get("/api/v1/machines/m/at?time=%s&include_processes=0", recentTime()); strings.Contains(
		none.text,
		`"processes"`,
	) {
		t.Error("processes came without being asked for")
	}
}

func TestBadRequests(t *testing.T) { eachProfile(t, testBadRequests) }

func testBadRequests(t *testing.T, s *testServer) {
	s.postSnapshots("m", recentTime(), 3)
	for _, test := range []struct {
		path, code, field string
		status            int
	}{
		{"/api/v1/machines/nobody", "unknown_machine", "", 404},
		{"/api/v1/machines/nobody/snapshots?since=1h", "unknown_machine", "", 404},
		{"/api/v1/machines/nobody/at?time=2026-11-23T03:12:00Z", "unknown_machine", "", 404},
		{"/api/v1/machines/m/at?time=2020-11-23T03:12:00Z", "no_snapshot", "", 404},
		{"/api/v1/machines/m/at", "invalid_field", "time", 422},
		{"/api/v1/machines/m/at?time=noon", "invalid_field", "time", 422},
		{"/api/v1/machines/m/at?time=0000-01-01T00:00:00Z", "invalid_field", "time", 422},
		{"/api/v1/machines/m/snapshots?since=yesterday", "invalid_field", "since", 422},
		{"/api/v1/machines/m/snapshots?since=999999999w", "invalid_field", "since", 422},
		{"/api/v1/machines/m/snapshots?since=1h&from=2026-11-23T03:12:00Z", "invalid_field", "since", 422},
		{"/api/v1/machines/m/snapshots?to=2026-11-23T03:12:00Z", "invalid_field", "from", 422},
		{"/api/v1/machines/m/snapshots?from=2026-11-23T03:12:00Z&to=2026-11-23T03:11:00Z", "invalid_field", "from", 422},
		{"/api/v1/machines/m/snapshots?since=1h&limit=0", "invalid_field", "limit", 422},
		{"/api/v1/machines/m/snapshots?since=1h&limit=1000000000", "invalid_field", "limit", 422},
		{"/api/v1/machines/m/snapshots?since=1h&limit=101&include_processes=1", "invalid_field", "limit", 422},
		{"/api/v1/machines/m/snapshots?since=1h&include_processes=perhaps", "invalid_field", "include_processes", 422},
		{"/api/v1/machines/m/snapshots?sinc=1h", "invalid_field", "sinc", 422},
		{"/api/v1/machines/m/snapshots?cursor=xyz", "invalid_field", "cursor", 422},
		{"/api/v1/machines?cursor=eHh4", "invalid_field", "cursor", 422},
		{"/api/v1/machines?limit=many", "invalid_field", "limit", 422},
		{"/api/v1/machines/a%20b", "invalid_field", "machine_id", 422},
		{"/api/v1/nothing", "not_found", "", 404},
	} {
		t.Run(test.path, func(t *testing.T) {
			got := s.get("%s", test.path)
			p := got.problem(t)
			if got.status != test.status || p.Code != test.code || p.Field != test.field || p.Status != test.status {
				t.Errorf("%d %s", got.status, got.text)
			}
			if p.RequestID == "" || p.RequestID != got.header.Get("X-Request-Id") {
				t.Errorf("request id %q in the body, %q in the header", p.RequestID, got.header.Get("X-Request-Id"))
			}
			if kind := got.header.Get("Content-Type"); kind != "application/problem+json" {
				t.Errorf("content type %s", kind)
			}
		})
	}
	if got := s.get("/api/v1/machines/m/snapshots?since=3650d&limit=1000"); len(
		decode[page[api.SnapshotView]](t, got).Results,
	) != 3 {
		t.Errorf("ten years: %s", got.text)
	}
}

func TestMachineLifeCycle(t *testing.T) { eachProfile(t, testMachineLifeCycle) }

func testMachineLifeCycle(t *testing.T, s *testServer) {
	registration := `{"machine_id":"m-1","hostname":"web","os":"linux","cpu_count":4,"total_ram":1024,"from_a_newer_agent":{"a":1}}`
	created := s.do(http.MethodPost, "/api/v1/machines", registration)
	if created.status != http.StatusCreated || created.header.Get("ETag") != `"1"` {
		t.Fatalf("%d %s", created.status, created.text)
	}
	if again := s.do(http.MethodPost, "/api/v1/machines", registration); again.status != http.StatusOK {
		t.Errorf("again: %d", again.status)
	}
	for _, test := range []struct{ body, field string }{
		{`{"hostname":"web"}`, "machine_id"},
		{`{"machine_id":"a b"}`, "machine_id"},
		{`{"machine_id":"m","hostname":7}`, "hostname"},
		{`{"machine_id":"m","cpu_count":-1}`, "cpu_count"},
		{`{"machine_id":"m","hostname":"a\u0000b"}`, "hostname"},
	} {
		if got := s.do(http.MethodPost, "/api/v1/machines", test.body); got.status != 422 ||
			got.problem(t).Field != test.field {
			t.Errorf("%s: %d %s", test.body, got.status, got.text)
		}
	}
	m := decode[api.MachineView](t, s.get("/api/v1/machines/m-1"))
	if m.Hostname != "web" || m.LastSnapshot != nil || m.Latest != nil || m.PollingInterval != 5 || !m.Enabled ||
		m.Status != "up" {
		t.Errorf("%+v", m)
	}

	for _, test := range []struct {
		name, body, match string
		status            int
		field             string
	}{
		{"unknown field", `{"poling_interval":1}`, "", 422, "poling_interval"},
		{"wrong type", `{"enabled":"no"}`, "", 422, "enabled"},
		{"null is nothing", `{"enabled":null}`, "", 422, ""},
		{"too small", `{"polling_interval":0.4}`, "", 422, "polling_interval"},
		{"too large", `{"polling_interval":3601}`, "", 422, "polling_interval"},
		{"an empty name", `{"exclude":["kworker*",""]}`, "", 422, "exclude[1]"},
		{"a long name", `{"exclude":["` + strings.Repeat("x", 256) + `"]}`, "", 422, "exclude[0]"},
		{"nothing", `{}`, "", 422, ""},
		{"not JSON", `{"enabled"`, "", 400, ""},
		{"stale version", `{"enabled":false}`, `"7"`, 412, ""},
		{"odd version", `{"enabled":false}`, `abc`, 412, ""},
		{"current version", `{"polling_interval":1}`, `"1"`, 200, ""},
		{"the one just replaced", `{"enabled":false}`, `"1"`, 412, ""},
		{"without a version", `{"enabled":false,"exclude":["kworker*"]}`, "", 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var header []string
			if test.match != "" {
				header = []string{"If-Match", test.match}
			}
			got := s.do(http.MethodPatch, "/api/v1/machines/m-1", test.body, header...)
			if got.status != test.status || got.status >= 300 && got.problem(t).Field != test.field {
				t.Errorf("%d %s", got.status, got.text)
			}
		})
	}
	got := s.get("/api/v1/machines/m-1")
	if m := decode[api.MachineView](t, got); m.PollingInterval != 1 || m.Enabled ||
		!slices.Equal(m.Exclude, []string{"kworker*"}) ||
		m.ConfigVersion != 3 ||
		got.header.Get("ETag") != `"3"` {
		t.Errorf("%s %s", got.header.Get("ETag"), got.text)
	}
	if got := s.do(http.MethodPatch, "/api/v1/machines/nobody", `{"enabled":true}`); got.status != 404 {
		t.Errorf("PATCH of nobody: %d", got.status)
	}

	s.postSnapshots("m-2", recentTime(), 2)
	list := decode[page[api.MachineView]](t, s.get("/api/v1/machines?limit=1"))
	if len(list.Results) != 1 || list.Results[0].MachineID != "m-2" || list.Results[0].Latest == nil ||
		*list.Results[0].ProcessCount != 20 ||
		list.NextCursor == nil {
		t.Errorf("%+v", list)
	}
	if rest := decode[page[api.MachineView]](t, s.get("/api/v1/machines?limit=1&cursor=%s", *list.NextCursor)); len(
		rest.Results,
	) != 1 ||
		rest.Results[0].MachineID != "m-1" ||
		rest.NextCursor != nil {
		t.Errorf("%+v", rest)
	}
	if got := s.do(http.MethodDelete, "/api/v1/machines/m-2", ""); got.status != http.StatusNoContent {
		t.Errorf("DELETE: %d %s", got.status, got.text)
	}
	if got := s.get("/api/v1/machines/m-2/snapshots"); got.status != 404 {
		t.Errorf("its history: %d", got.status)
	}
	if got := s.do(http.MethodDelete, "/api/v1/machines/m-2", ""); got.status != 404 {
		t.Errorf("DELETE again: %d", got.status)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	now, ahead := time.Now(), time.Duration(0)
	s := start(t, api.Config{Now: func() time.Time { return now.Add(ahead) }})
	s.postSnapshots("m", recentTime(), 1)
	for _, test := range []struct {
		patch string
		ahead time.Duration
		want  string
	}{
		{`{"polling_interval":5}`, 10 * time.Second, "up"},
		{`{"polling_interval":5}`, 12 * time.Second, "stale"},
		{`{"polling_interval":3600}`, 59 * time.Second, "up"}, // it sends heartbeats
		{`{"polling_interval":3600}`, 62 * time.Second, "stale"},
		{`{"polling_interval":5,"enabled":false}`, 59 * time.Second, "up"},
	} {
		ahead = test.ahead
		if m := decode[api.MachineView](t, s.do(http.MethodPatch, "/api/v1/machines/m", test.patch)); m.Status != test.want {
			t.Errorf("%s, %s after the last word: %s", test.patch, test.ahead, m.Status)
		}
	}
}

func TestGuards(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{AllowedHosts: []string{"127.0.0.1", "localhost"}})
	for _, test := range []struct {
		name, method, path string
		header             []string
		status             int
	}{
		{"own name", "GET", "/api/v1/machines", []string{"Host", "localhost:1234"}, 200},
		{"rebound name", "GET", "/api/v1/machines", []string{"Host", "evil.example"}, 421},
		{"page of another origin", "DELETE", "/api/v1/machines/m", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"form of another origin", "POST", "/api/v1/snapshots", []string{"Origin", "https://evil.example"}, 403},
		{"own page", "DELETE", "/api/v1/machines/m", []string{"Sec-Fetch-Site", "same-origin"}, 404},
		{"wrong method", "PUT", "/api/v1/snapshots", nil, 405},
		{"wrong media type", "POST", "/api/v1/machines", []string{"Content-Type", "text/plain"}, 415},
	} {
		body := ""
		if test.method == "POST" {
			body = "{}"
		}
		if got := s.do(test.method, test.path, body, test.header...); got.status != test.status {
			t.Errorf("%s: %d %s", test.name, got.status, got.text)
		}
	}
	if got := s.do("GET", "/api/v1/machines", "", "X-Request-Id", "my-id.1"); got.header.Get(
		"X-Request-Id",
	) != "my-id.1" {
		t.Error("the caller's request id was not kept")
	}
	if got := s.do("GET", "/api/v1/machines", "", "X-Request-Id", "my id\""); got.header.Get(
		"X-Request-Id",
	) == "my id\"" {
		t.Error("an unsound request id was kept")
	}
}

func TestHealthMetricsAndUI(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	s.postSnapshots("m", recentTime(), 2)
	for _, test := range []struct{ path, want string }{
		{"/healthz", "alive"}, {"/readyz", `"profile":"postgres"`}, {"/", "the UI"}, {"/machines/m", "the UI"},
		{"/metrics", "snapwatch_store_snapshots_total 2"}, {"/metrics", `snapwatch_http_request_seconds_count{method="POST",route="/api/v1/snapshots",status="201"} 1`},
		{"/api/v1/openapi.json", `"openapi":"3.1.0"`},
	} {
		if got := s.get("%s", test.path); got.status != 200 || !strings.Contains(got.text, test.want) {
			t.Errorf("%s: %d, without %s", test.path, got.status, test.want)
		}
	}
	s.store.Close()
	if got := s.get("/readyz"); got.status != 503 {
		t.Errorf("/readyz without a database: %d", got.status)
	}
	if got := s.get("/healthz"); got.status != 200 {
		t.Errorf("/healthz without a database: %d", got.status)
	}
	if got := s.get("/api/v1/machines"); got.status != 500 || got.problem(t).Code != "internal" ||
		got.problem(t).RequestID == "" ||
		strings.Contains(got.text, "pool") {
		t.Errorf("a fault of ours: %d %s", got.status, got.text)
	}
}
