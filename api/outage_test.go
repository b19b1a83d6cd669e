package api_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/api/apitest"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// withoutDatabase are the operations that do not use the database, which are therefore not affected by an outage.
var withoutDatabase = []string{"GET /healthz", "GET /api/v1/auth/oidc/login", "GET /api/v1/auth/oidc/callback"}

// While the database is away or hangs, every operation gets status 503 with Retry-After in bounded time, signing in
// included. Afterwards everything works.
func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	proxy := storetest.NewProxy(t, db.URL)
	db.URL = proxy.URL
	m := newAuthMatrixOn(t, db, apitest.Config{
		Config: api.Config{QueryTimeout: 2 * time.Second}, Policy: auth.NewPolicy(auth.Rules()),
	})
	for _, outage := range []struct {
		name  string
		begin func()
	}{{"away", proxy.Refuse}, {"frozen", proxy.Freeze}} {
		outage.begin()
		var running sync.WaitGroup
		for _, operation := range m.api.Operations() {
			if slices.Contains(withoutDatabase, operation) || strings.Contains(operation, "/openapi") {
				continue
			}
			for _, from := range m.callers[:2] { // without a credential, and as administrator
				running.Go(func() {
					began := time.Now()
					got := m.send(from, operation, ownMachine)
					took := time.Since(began)
					unavailable := got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") != ""
					// What needs no look-up is refused as always.
					refused := got.status == http.StatusUnauthorized || got.status == http.StatusUnprocessableEntity
					if !unavailable && !refused || took > 30*time.Second || refused && from.secret != "" &&
						!strings.HasPrefix(operation, "POST /api/v1/auth") && operation != "POST /api/v1/enrol" {
						t.Errorf("%s: %s from %s: %d %s after %s",
							outage.name, operation, from.name, got.status, got.text, took)
					}
				})
			}
		}
		running.Wait()
		proxy.Resume()
		for range 20 { // connections that were closed fail once
			if got := m.send(m.callers[1], "GET /api/v1/machines", ""); got.status == http.StatusOK {
				break
			}
		}
		if got := m.send(m.callers[1], "GET /api/v1/machines", ""); got.status != http.StatusOK {
			t.Errorf("after the outage: %d %s", got.status, got.text)
		}
	}
}

// Only a query that takes too long is blamed on the request. If the look-up of the caller does, or that of another
// operation, the database is not available.
func TestTimeoutsOfLockedTables(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	lock := storetest.Connect(t, db.URL)
	db.URL += "&statement_timeout=1000"
	s := testServerOf(t, apitest.Start(t, db, apitest.Config{}))
	for _, test := range []struct{ table, method, path, want string }{
		{"tokens", http.MethodGet, "/api/v1/me", "database_unavailable"},
		{"tokens", http.MethodPost, "/api/v1/snapshots", "database_unavailable"},
		{"tokens", http.MethodGet, "/api/v1/machines", "database_unavailable"},
		{"users", http.MethodGet, "/api/v1/users", "database_unavailable"},
		{"machines", http.MethodGet, "/api/v1/machines", "too_slow"},
	} {
		transaction, err := lock.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := transaction.Exec(t.Context(), `LOCK TABLE `+test.table); err != nil {
			t.Fatal(err)
		}
		got := s.do(test.method, test.path, "")
		if p := got.problem(t); got.status != http.StatusServiceUnavailable || p.Code != test.want ||
			got.header.Get("Retry-After") == "" {
			t.Errorf("%s %s with a lock of %s: %d %s", test.method, test.path, test.table, got.status, got.text)
		}
		if err := transaction.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// If the schema is removed under a running server, requests get status 503, and posts are sent again later.
func TestRemovedSchema(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	s := startOn(t, db, api.Config{})
	if err := store.MigrateDown(t.Context(), db.URL, storetest.Logger()); err != nil {
		t.Fatal(err)
	}
	for _, request := range [][2]string{
		{http.MethodPost, "/api/v1/snapshots"}, {http.MethodGet, "/api/v1/machines"}, {http.MethodGet, "/api/v1/users"},
	} {
		got := s.do(request[0], request[1], "")
		if p := got.problem(t); got.status != http.StatusServiceUnavailable || p.Code != "database_unavailable" ||
			got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", request, got.status, got.text)
		}
	}
}

// HEAD works on every GET route, with the status and the headers of GET.
func TestHead(t *testing.T) {
	t.Parallel()
	m := newAuthMatrix(t, auth.NewPolicy(auth.Rules()))
	for _, operation := range m.api.Operations() {
		path, isGet := strings.CutPrefix(operation, "GET ")
		if !isGet || path == "/api/v1/live" {
			continue
		}
		get := m.send(m.callers[1], operation, ownMachine)
		head := m.send(m.callers[1], "HEAD "+path, ownMachine)
		if head.status != get.status || head.text != "" ||
			head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("%s: %d %s, HEAD: %d %s %q", path, get.status, get.header.Get("Content-Type"), head.status,
				head.header.Get("Content-Type"), head.text)
		}
	}
}

// A caller with slow reads does not take the turns of others, and has a limit of its own.
func TestReadLimit(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	s := testServerOf(t, apitest.Start(t, db, apitest.Config{Config: api.Config{Reads: 4}}))
	lock := storetest.Connect(t, db.URL)
	transaction, err := lock.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transaction.Exec(t.Context(), `LOCK TABLE process_samples, machine_1h_done`); err != nil {
		t.Fatal(err)
	}
	secrets := make([]string, 2)
	for i := range secrets {
		if secrets[i], _, err = s.auth.CreateToken(t.Context(), auth.TokenParams{
			Name: fmt.Sprint("reader ", i), Role: auth.RoleUser, Tags: []string{auth.AllMachines},
		}); err != nil {
			t.Fatal(err)
		}
	}
	// The first reader's reads wait for the lock. Two run, 30 wait, and 8 are refused.
	ctx, leave := context.WithCancel(t.Context())
	refused := make(chan string, 40)
	var running sync.WaitGroup
	for range cap(refused) {
		running.Go(func() {
			address := s.url + "/api/v1/processes/top?since=30m"
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Authorization", "Bearer "+secrets[0])
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return // the reader has left
			}
			_ = response.Body.Close()
			refused <- response.Status + response.Header.Get("Retry-After")
		})
	}
	for range 8 {
		if got := <-refused; got != "429 Too Many Requests2" {
			t.Errorf("a refused read got %s", got)
		}
	}
	got := s.do(http.MethodGet, "/machines", "", "Authorization", "Bearer "+secrets[1])
	if got.status != http.StatusOK {
		t.Errorf("another reader got %d %s", got.status, got.text)
	}
	// The statements of clients that leave are cancelled.
	leave()
	running.Wait()
	// A transaction sees the same activity all the time.
	other := storetest.Connect(t, db.URL)
	testwait.Until(t, "the end of the statements", func() bool {
		var statements int
		if err := other.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'snapwatch reads' AND state = 'active'`).
			Scan(&statements); err != nil {
			t.Fatal(err)
		}
		return statements == 0
	})
	if err := transaction.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}
