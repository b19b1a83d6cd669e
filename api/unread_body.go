package api

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// maxDiscardedBytes is how much of an unread body is discarded after the response, in bytes.
	maxDiscardedBytes = 256 << 20
	// discardTimeout is how long an unread body is discarded after the response.
	discardTimeout = 15 * time.Second
)

// bodyDiscarder is a handler that sends the response of another handler and then reads the rest of the request's body.
// Many clients send all of a body before they read the response. If the server closed the connection before it has
// received the rest, the kernel would reset it, and these clients would report an error of the connection instead of
// the response, such as a 413.
type bodyDiscarder struct {
	next     http.Handler
	maxBytes int64
	timeout  time.Duration
}

// ServeHTTP implements http.Handler.
func (d *bodyDiscarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || r.Body == nil || r.Body == http.NoBody { // HTTP/2 can end a request without the connection
		d.next.ServeHTTP(w, r)
		return
	}
	body := &observedBody{reader: r.Body}
	r = r.WithContext(r.Context()) // a copy, because net/http needs the body of its own request
	r.Body = body
	d.next.ServeHTTP(w, r)
	waits := strings.EqualFold(r.Header.Get("Expect"), "100-continue") && !body.begun // the client sends no body
	if body.ended || waits {
		return
	}
	control := http.NewResponseController(w)
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(d.timeout)) != nil {
		return // the connection is gone
	}
	_, _ = io.CopyN(io.Discard, body, d.maxBytes)
}

// observedBody is a request's body that records how much of it was read.
type observedBody struct {
	reader io.Reader
	begun  bool // Read was called
	ended  bool // Read returned io.EOF
}

// Read implements io.Reader.
func (b *observedBody) Read(p []byte) (int, error) {
	b.begun = true
	n, err := b.reader.Read(p)
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}

// Close does nothing. net/http closes the body after the request.
func (*observedBody) Close() error { return nil }
