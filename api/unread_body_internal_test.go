package api

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testwait"
)

// countedBody counts the bytes that are read from a body.
type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// startDiscarder starts a server that refuses all requests. It returns its address, the number of bytes that were read,
// and a channel that receives when a request ends.
func startDiscarder(
	t *testing.T, maxBytes int64, timeout time.Duration,
) (address string, read *atomic.Int64, ended chan struct{}) {
	t.Helper()
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	discarder := &bodyDiscarder{refuse, maxBytes, timeout}
	read, ended = new(atomic.Int64), make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		copied := *r
		copied.Body = countedBody{r.Body, read}
		discarder.ServeHTTP(w, &copied)
		ended <- struct{}{}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), read, ended
}

// sendHead sends the start of a request with a body of a length.
func sendHead(t *testing.T, address string, length int64, header string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	head := fmt.Sprintf("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n%s\r\n", length, header)
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	return conn
}

func waitFor(t *testing.T, ended chan struct{}) {
	t.Helper()
	ctx, cancel := testwait.Context(t)
	defer cancel()
	select {
	case <-ended:
	case <-ctx.Done():
		t.Fatal("the request does not end")
	}
}

// At most maxBytes of a body are discarded.
func TestDiscardedBytesAreLimited(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20 // more than net/http itself discards
	for _, length := range []int64{limit - 1, limit, limit + 1, 10 * limit} {
		address, read, ended := startDiscarder(t, limit, time.Hour)
		conn := sendHead(t, address, length, "")
		_, _ = conn.Write(make([]byte, length)) // an error if the server closes the connection before
		waitFor(t, ended)
		if got, want := read.Load(), min(length, limit); got != want {
			t.Errorf("%d of %d bytes were read, want %d", got, length, want)
		}
	}
}

// A body that does not arrive is waited for until the timeout.
func TestDiscardingTimesOut(t *testing.T) {
	t.Parallel()
	address, read, ended := startDiscarder(t, 1<<20, 10*time.Millisecond)
	conn := sendHead(t, address, 1<<20, "")
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, ended)
	if n := read.Load(); n > 1 {
		t.Errorf("%d bytes were read", n)
	}
}

// A client that asks before it sends a body is not made to send it.
func TestExpectedBodyIsNotDiscarded(t *testing.T) {
	t.Parallel()
	address, _, ended := startDiscarder(t, 1<<20, time.Hour)
	conn := sendHead(t, address, 1<<20, "Expect: 100-continue\r\n")
	waitFor(t, ended)
	response, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(response), "HTTP/1.1 418 ") {
		t.Errorf("%v: %s", err, response)
	}
}
