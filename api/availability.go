package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

// retryAfterUnavailable is the Retry-After header, in seconds, of responses that say that the server cannot do
// something at the moment.
const retryAfterUnavailable = 2

// addRetryAfter is the middleware that adds a Retry-After header to responses with status 429, 503 or 507 without one.
func addRetryAfter(c *gin.Context) {
	c.Writer = &retryAfterWriter{c.Writer}
	c.Next()
}

type retryAfterWriter struct{ gin.ResponseWriter }

// WriteHeader sets the status.
func (w *retryAfterWriter) WriteHeader(status int) {
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		if header := w.Header(); header.Get("Retry-After") == "" {
			header.Set("Retry-After", strconv.Itoa(retryAfterUnavailable))
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap returns the wrapped writer, for http.ResponseController.
func (w *retryAfterWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// answerHead makes HEAD work on every GET route. The server discards the body of the response.
func answerHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			r = r.Clone(context.WithValue(r.Context(), headKey{}, true))
			r.Method = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

type headKey struct{}

// isHead reports whether a request is HEAD, so that no body needs to be written.
func isHead(ctx context.Context) bool { return ctx.Value(headKey{}) != nil }

// errTimeLimit is the cause of the end of a request that took too long.
var errTimeLimit = errors.New("the request took too long")

const (
	// timeMargin is how much longer than its queries a request may take.
	timeMargin = 5 * time.Second
	// postTimeout is more than ingest.Config.PostTimeout.
	postTimeout = time.Minute
	// authorizeTimeout limits the look-up of the caller.
	authorizeTimeout = 10 * time.Second
	// lookUpTimeout limits GET requests that do not read the history.
	lookUpTimeout = authorizeTimeout + timeMargin
)

// limitTime is the middleware that sets the deadline of a request. Live views and exports last as long as they need.
// Reads wait for their turn before their query begins.
func (a *API) limitTime(c *gin.Context) {
	limit := a.cfg.QueryTimeout + maxReadWait + timeMargin
	switch operation := operationOf(c); {
	case operation == "GET "+livePath, operation == exportOperation:
		return
	case operation == "POST "+ingestPath:
		limit = postTimeout
	case c.Request.Method == http.MethodGet && !isRead(operation):
		limit = lookUpTimeout
	}
	ctx, cancel := context.WithTimeoutCause(c.Request.Context(), limit, errTimeLimit)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}
