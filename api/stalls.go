package api

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

const (
	// responsePiece is how many bytes a client must read within the stall timeout.
	responsePiece = 64 << 10
	// maxResponseTime is how long a client may take to read a response that is not an export.
	maxResponseTime = 2 * time.Minute
)

// limitStalls is the middleware that closes the connection of a client that stops reading its response. Until then,
// the response and the turn of a read are held.
func (a *API) limitStalls(c *gin.Context) {
	w := &stallWriter{
		ResponseWriter: c.Writer, control: http.NewResponseController(c.Writer), timeout: a.cfg.StallTimeout,
	}
	if operationOf(c) != "GET "+exportPath {
		w.maxTime = maxResponseTime
	}
	c.Writer = w
	c.Next()
}

// stallWriter writes in pieces and sets a deadline for each.
type stallWriter struct {
	gin.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	maxTime time.Duration // from the first write, 0 for none
	end     time.Time     // of maxTime
	set     time.Time     // when the deadline was set
}

// Write implements http.ResponseWriter.
func (w *stallWriter) Write(p []byte) (n int, err error) {
	for {
		w.setDeadline()
		piece := p[n:min(n+responsePiece, len(p))]
		written, err := w.ResponseWriter.Write(piece)
		n += written
		if err != nil || n >= len(p) {
			return n, err
		}
	}
}

// WriteString implements io.StringWriter.
func (w *stallWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// Flush implements http.Flusher.
func (w *stallWriter) Flush() {
	w.setDeadline()
	w.ResponseWriter.Flush()
}

// setDeadline sets the deadline of the next write, unless it was set a moment ago.
func (w *stallWriter) setDeadline() {
	now := time.Now()
	if now.Sub(w.set) < w.timeout/16 {
		return
	}
	if w.end.IsZero() && w.maxTime > 0 {
		w.end = now.Add(w.maxTime)
	}
	w.set = now
	deadline := now.Add(w.timeout)
	if w.maxTime > 0 && deadline.After(w.end) {
		deadline = w.end
	}
	_ = w.control.SetWriteDeadline(deadline) // fails only if the connection is gone, and then the write does too
}

// Unwrap returns the wrapped writer, for http.ResponseController.
func (w *stallWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
