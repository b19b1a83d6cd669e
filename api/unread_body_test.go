package api_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
)

// bomb returns about n bytes of blocks. Each block decompresses to a megabyte.
func bomb(t *testing.T, n int, encoding string) []byte {
	t.Helper()
	var block bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&block)
	if encoding == "zstd" {
		var err error
		if w, err = zstd.NewWriter(&block); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(block.Bytes(), n/block.Len())
}

// dial opens a connection to the server, with the deadline of waits.
func (s *testServer) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	ctx, cancel := testwait.Context(t)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// sendFirst sends a request with a body over a connection of its own, as clients do that send all of a body before
// they read the response.
func (s *testServer) sendFirst(t *testing.T, head string, body []byte, chunked bool) (*http.Response, error) {
	t.Helper()
	conn := s.dial(t)
	defer func() { _ = conn.Close() }()
	request := bytes.NewBufferString(head + "Host: localhost\r\n")
	if chunked {
		request.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for len(body) > 0 {
			chunk := body[:min(len(body), 64<<10)]
			body = body[len(chunk):]
			_, _ = fmt.Fprintf(request, "%x\r\n%s\r\n", len(chunk), chunk)
		}
		request.WriteString("0\r\n\r\n")
	} else {
		_, _ = fmt.Fprintf(request, "Content-Length: %d\r\n\r\n", len(body))
		request.Write(body)
	}
	if _, err := request.WriteTo(conn); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	response.Body = io.NopCloser(bytes.NewReader(text))
	return response, err
}

// A client that sends all of a body before it reads gets the response to a request that the server refuses early.
func TestRefusalOfUnreadBody(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	const (
		post = "POST /api/v1/snapshots HTTP/1.1\r\n"
		json = "Content-Type: application/json\r\n"
	)
	token := "Authorization: Bearer " + s.token + "\r\n"
	large := bytes.Repeat([]byte(" "), 3*snapshot.MaxBodyBytes)
	for name, test := range map[string]struct {
		head string
		body []byte
		want int
	}{
		"a gzip bomb": {
			post + token + json + "Content-Encoding: gzip\r\n", bomb(t, snapshot.MaxBodyBytes, "gzip"),
			http.StatusRequestEntityTooLarge,
		},
		"a zstd bomb": {
			post + token + json + "Content-Encoding: zstd\r\n", bomb(t, snapshot.MaxBodyBytes, "zstd"),
			http.StatusRequestEntityTooLarge,
		},
		"a large post":     {post + token + json, large, http.StatusRequestEntityTooLarge},
		"a large sign-in":  {"POST /api/v1/auth/login HTTP/1.1\r\n" + json, large, http.StatusRequestEntityTooLarge},
		"no token":         {post + json, large, http.StatusUnauthorized},
		"a bad media type": {post + token + "Content-Type: text/plain\r\n", large, http.StatusUnsupportedMediaType},
		"a bad method":     {"PUT /api/v1/snapshots HTTP/1.1\r\n" + token, large, http.StatusMethodNotAllowed},
		"no route":         {"POST /api/v1/nothing HTTP/1.1\r\n" + token, large, http.StatusNotFound},
		"a NUL":            {"POST /api/v1/machines?x=%00 HTTP/1.1\r\n" + token, large, http.StatusUnprocessableEntity},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %t", name, chunked), func(t *testing.T) {
				response, err := s.sendFirst(t, test.head, test.body, chunked)
				if err != nil {
					t.Fatal(err)
				}
				text, _ := io.ReadAll(response.Body)
				if response.StatusCode != test.want || !bytes.Contains(text, []byte(`"request_id"`)) {
					t.Errorf("%s %s, want %d", response.Status, text, test.want)
				}
			})
		}
	}
}
