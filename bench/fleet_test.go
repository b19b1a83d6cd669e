package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api/apitest"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// postUntil lets the fleet post until a condition holds.
func postUntil(t *testing.T, f *fleet, what string, condition func() bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.run(ctx) })
	testwait.Until(t, what, condition)
	stop()
	running.Wait()
}

// More agents than the burst of the limits of an address enrol and post, and none is lost.
func TestBenchLosesNoAgent(t *testing.T) {
	t.Parallel()
	server := apitest.Start(t, storetest.Postgres(t), apitest.Config{})
	key, _, err := server.Auth.CreateEnrolmentKey(t.Context(), auth.EnrolmentKeyParams{Name: "bench"})
	if err != nil {
		t.Fatal(err)
	}
	f := newFleet(load{agents: 220, processes: 2, interval: time.Second, busy: 0.1}, server.URL, key)
	f.enrol(t.Context())
	if err := f.lost(false); err != nil {
		t.Fatal(err)
	}
	if err := f.lost(true); err == nil || err.Error() != "lost 220 of 220 agents; 220: no post was acknowledged" {
		t.Errorf("before the first post: %v", err)
	}
	postUntil(t, f, "all agents to have posted", func() bool { return f.lost(true) == nil })
}

// Agents that are refused are lost, whether they enrol, register or post.
func TestBenchReportsLostAgents(t *testing.T) {
	t.Parallel()
	var enrolments, posts atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refused := http.StatusTooManyRequests
		switch r.URL.Path {
		case "/api/v1/enrol":
			if enrolments.Add(1) <= 6 {
				w.WriteHeader(http.StatusCreated)
				_, _ = w.Write([]byte(`{"token":"t"}`))
				return
			}
		case "/api/v1/machines":
			refused = http.StatusForbidden
			if r.Header.Get("Authorization") == "Bearer t" && enrolments.Load() != 6 {
				refused = http.StatusCreated
			}
		default:
			posts.Add(1)
			refused = http.StatusServiceUnavailable
		}
		w.WriteHeader(refused)
	}))
	defer server.Close()
	f := newFleet(load{agents: 10, processes: 1, interval: 10 * time.Millisecond}, server.URL, "key")
	for i := range 10 { // one after the other, so that the server knows which one it refuses
		if err := f.enrolAgent(t.Context(), i); err != nil {
			f.fault(i, err.Error())
		}
	}
	const notEnrolled = "lost 5 of 10 agents; 1: register: 403 Forbidden; 4: enrol: 429 Too Many Requests"
	if err := f.lost(false); err == nil || err.Error() != notEnrolled {
		t.Errorf("%v, want %s", err, notEnrolled)
	}
	f.reset()
	postUntil(t, f, "the agents to post", func() bool { return posts.Load() >= 50 })
	err := f.lost(true)
	if err == nil || !strings.Contains(err.Error(), "lost 10 of 10 agents") ||
		!strings.Contains(err.Error(), "5: 503 Service Unavailable") {
		t.Errorf("%v, want 10 lost agents, 5 of them because of status 503", err)
	}
}
