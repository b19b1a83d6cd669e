package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/snapwatch/snapwatch/internal/backoff"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/store"
)

// startup is the handler of a server. Until the server has opened its database, it serves the web page, /healthz, and
// answers everything else with status 503 and the reason.
type startup struct {
	ui     http.Handler
	reason atomic.Pointer[string]
	ready  atomic.Pointer[http.Handler] // nil until the server is ready
}

func newStartup(ui http.Handler) *startup {
	s := &startup{ui: ui}
	s.setReason("The server is starting.")
	return s
}

// setReason sets why the server has not started yet, as a sentence.
func (s *startup) setReason(reason string) { s.reason.Store(&reason) }

// finish makes handler serve all further requests.
func (s *startup) finish(handler http.Handler) { s.ready.Store(&handler) }

// ServeHTTP serves a request.
func (s *startup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if handler := s.ready.Load(); handler != nil {
		(*handler).ServeHTTP(w, r)
		return
	}
	path := r.URL.Path
	switch {
	case path == "/healthz":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"alive"}`))
	case path == "/readyz", path == "/metrics", strings.HasPrefix(path, "/metrics/"), path == "/api",
		strings.HasPrefix(path, "/api/"):
		w.Header().Set("Retry-After", "2")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		problem.New(http.StatusServiceUnavailable, "starting", *s.reason.Load()).Write(w, r)
	default:
		s.ui.ServeHTTP(w, r)
	}
}

const (
	minStartDelay = time.Second
	maxStartDelay = 15 * time.Second
)

// untilAvailable calls do until it succeeds, or fails for a reason that waiting does not remove. Meanwhile the server
// answers with the reason.
func (s *server) untilAvailable(ctx context.Context, do func(context.Context) error) error {
	delay := backoff.Backoff{Min: minStartDelay, Max: maxStartDelay}
	for {
		err := do(ctx)
		if err == nil || !isTemporary(err) || ctx.Err() != nil {
			return err
		}
		wait := delay.Next()
		s.startup.setReason("The server waits for its database: " + err.Error() + ".")
		s.logger.Error("the database is not available, trying again", "wait", wait, "err", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// isTemporary reports whether an error of opening the database may go away. A wrong password, role or name of the
// database does not.
func isTemporary(err error) bool {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok && (failure.Code == pgerrcode.InvalidCatalogName ||
		pgerrcode.IsInvalidAuthorizationSpecification(failure.Code)) {
		return false
	}
	return store.IsUnavailable(err) || errors.Is(err, context.DeadlineExceeded)
}
