package api

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

const (
	// responsePiece is how many bytes are written within the stall timeout.
	responsePiece = 64 << 10
	// writeBuffer is the size of a connection's write buffer in the kernel, in bytes. If it is full, Linux lets a
	// writer continue when a third is free again. The buffer would otherwise grow up to 4 MiB, and a client that reads
	// slowly would seem to have stalled.
	writeBuffer = 128 << 10
	// maxResponseTime is how long a client may take to read a response that is not an export.
	maxResponseTime = 2 * time.Minute
)

// limitStalls is the middleware that closes the connection of a client that stops reading its response. Until then,
// the response and the turn of a read are held.
func (a *API) limitStalls(c *gin.Context) {
	w := &stallWriter{
		ResponseWriter: c.Writer, control: http.NewResponseController(c.Writer), timeout: a.cfg.StallTimeout,
		maxTime: maxResponseTime,
	}
	if isExport(c) { // which holds no turn while it writes
		w.timeout, w.maxTime = a.cfg.ExportStallTimeout, 0
	}
	c.Writer = w
	c.Next()
	w.begin() // what is left in buffers is sent after the handlers have returned
}

// LimitWriteBuffer limits the write buffer of a connection. It is the ConnContext of the http.Server.
func LimitWriteBuffer(ctx context.Context, conn net.Conn) context.Context {
	for {
		wrapper, ok := conn.(interface{ NetConn() net.Conn }) // of TLS, and of connlimit
		if !ok {
			break
		}
		conn = wrapper.NetConn()
	}
	if socket, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = socket.SetWriteBuffer(writeBuffer) // fails only if the connection is gone
	}
	return ctx
}

// stallWriter writes in pieces and sets a deadline for each. Between two writes there is none, because HTTP/2 ends a
// response at its deadline even if nothing is written, for example while an export waits for its turn.
type stallWriter struct {
	gin.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	maxTime time.Duration // from the first write, 0 for none
	end     time.Time     // of maxTime
}

// Write implements http.ResponseWriter.
func (w *stallWriter) Write(p []byte) (n int, err error) {
	defer w.pause()
	for {
		w.begin()
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
	defer w.pause()
	w.begin()
	w.ResponseWriter.Flush()
}

// begin sets the deadline of the next piece.
func (w *stallWriter) begin() {
	now := time.Now()
	if w.end.IsZero() && w.maxTime > 0 {
		w.end = now.Add(w.maxTime)
	}
	deadline := now.Add(w.timeout)
	if w.maxTime > 0 && deadline.After(w.end) {
		deadline = w.end
	}
	_ = w.control.SetWriteDeadline(deadline) // fails only if the connection is gone, and then the write does too
}

// pause removes the deadline of a piece that was written.
func (w *stallWriter) pause() { _ = w.control.SetWriteDeadline(w.end) }

// Unwrap returns the wrapped writer, for http.ResponseController.
func (w *stallWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
