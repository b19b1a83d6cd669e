package main

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/snapwatch/snapwatch/internal/backoff"
	"github.com/snapwatch/snapwatch/internal/basepath"
	"github.com/snapwatch/snapwatch/internal/pgsession"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/store"
)

// startup is the handler of a server. Until the server has opened its database, it serves a page with the reason and
// /healthz, and answers everything else with status 503.
type startup struct {
	basePath string
	reason   atomic.Pointer[string]
	ready    atomic.Pointer[http.Handler] // nil until the server is ready
}

func newStartup(basePath string) *startup {
	s := &startup{basePath: basePath}
	s.setReason(startingReason)
	return s
}

// startingReason is the reason while nothing delays the start.
const startingReason = "The server is starting."

// setLockHolders sets which sessions hold the lock of the schema that the server waits for, "" for none.
func (s *startup) setLockHolders(holders string) {
	if holders == "" {
		s.setReason(startingReason)
		return
	}
	s.setReason("The server waits for the lock that it needs to migrate the schema. These sessions of the database " +
		"hold it: " + holders + ". If it is not a server that migrates, end it with pg_terminate_backend.")
}

// setReason sets why the server has not started yet, as a sentence.
func (s *startup) setReason(reason string) { s.reason.Store(&reason) }

// finish makes handler serve all further requests.
func (s *startup) finish(handler http.Handler) { s.ready.Store(&handler) }

// startupPage is the page until the server has started. It reloads itself.
var startupPage = template.Must(template.New("startup").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="3">
<title>snapwatch is starting</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { max-width: 40rem; margin: 4rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
</style>
<h1>snapwatch is starting</h1>
<p>{{.}}</p>
<p>Agents keep their snapshots meanwhile. This page reloads by itself.</p>
</html>
`))

// ServeHTTP serves a request.
func (s *startup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if handler := s.ready.Load(); handler != nil {
		(*handler).ServeHTTP(w, r)
		return
	}
	path, below := basepath.Cut(r.URL.Path, s.basePath)
	if !below { // as of health checks, which need not know the base path
		path = r.URL.Path
	}
	if path == "/healthz" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"alive"}`))
		return
	}
	w.Header().Set("Retry-After", "2")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	for _, prefix := range []string{"/api/", "/metrics/", "/readyz/"} {
		if strings.HasPrefix(path+"/", prefix) {
			problem.New(http.StatusServiceUnavailable, "starting", *s.reason.Load()).Write(w, r)
			return
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = startupPage.Execute(w, *s.reason.Load())
}

const (
	minStartDelay = time.Second
	maxStartDelay = 5 * time.Second
)

// untilAvailable calls do until it succeeds, or fails for a reason that waiting does not remove. Until the server has
// started, it answers with the reason.
func (s *server) untilAvailable(ctx context.Context, do func(context.Context) error) error {
	delay := backoff.Backoff{Min: minStartDelay, Max: maxStartDelay}
	for {
		err := do(ctx)
		if err == nil || !isTemporary(err) || ctx.Err() != nil {
			return err
		}
		wait := delay.Next()
		cause := pgsession.Cause(err)
		s.startup.setReason("The server waits for its database: " + cause.Error() + ".")
		s.logger.Error("the database is not available, trying again", "wait", wait, "err", cause)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// isTemporary reports whether an error of opening the database may go away: the database is unavailable or full, or a
// statement took too long, for example because a table is locked. A wrong password, role or name of the database does
// not go away.
func isTemporary(err error) bool {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok && (failure.Code == pgerrcode.InvalidCatalogName ||
		pgerrcode.IsInvalidAuthorizationSpecification(failure.Code)) {
		return false
	}
	if errors.Is(err, store.ErrTransactionPooling) {
		return false
	}
	return store.IsUnavailable(err) || store.IsStatementTimeout(err) || errors.Is(err, context.DeadlineExceeded)
}
