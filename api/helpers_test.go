package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

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

func startOn(t testing.TB, db storetest.Database, cfg api.Config) *testServer {
	t.Helper()
	return testServerOf(t, apitest.Start(t, db, apitest.Config{Config: cfg}))
}

// in returns the server for a subtest.
func (s *testServer) in(t *testing.T) *testServer {
	sub := *s
	sub.t = t
	return &sub
}

func testServerOf(t testing.TB, running *apitest.Server) *testServer {
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

func (r response) problem(t testing.TB) problem.Problem {
	t.Helper()
	var p problem.Problem
	if err := json.Unmarshal([]byte(r.text), &p); err != nil {
		t.Fatalf("%v in %s", err, r.text)
	}
	return p
}

// decode returns the body of a response, and fails the test unless the response was successful.
func decode[T any](t testing.TB, r response) T {
	t.Helper()
	var v T
	if r.status >= 300 {
		t.Fatalf("%d %s", r.status, r.text)
	}
	if err := json.Unmarshal([]byte(r.text), &v, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("%v in %s", err, r.text)
	}
	return v
}

// do sends a request as an administrator. header lists names and values; an empty value removes a header.
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

// get sends a GET request as an administrator.
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

// page is a page of a list.
type page[T any] struct {
	Results    []T     `json:"results"`
	NextCursor *string `json:"next_cursor"`
}
