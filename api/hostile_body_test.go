package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/api"
)

// TestUnreadableBodies checks that a body that is not as HTTP requires is the client's fault, in every operation.
func TestUnreadableBodies(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	tested := 0
	for path, methods := range s.document().Paths {
		for method, operation := range methods {
			if len(operation.RequestBody.Content) == 0 {
				continue
			}
			for _, body := range []string{
				"ZZ\r\n{}\r\n0\r\n\r\n", "1\r\n{}\r\n0\r\n\r\n", "ffffffffffffffffff\r\n{}", "2\r\n{",
			} {
				tested++
				path := strings.NewReplacer("{machine_id}", "m", "{id}", "1").Replace(path)
				status, response := s.sendChunks(t, strings.ToUpper(method), path, body)
				if status < 400 || status >= 500 {
					t.Errorf("%s %s with %q: %d %s", method, path, body, status, response)
				}
			}
		}
	}
	if tested < 40 {
		t.Errorf("only %d requests", tested)
	}
}

// sendChunks sends a request with a chunked body as it is, and ends the connection in one direction.
func (s *testServer) sendChunks(t *testing.T, method, path, body string) (status int, response string) {
	t.Helper()
	conn := s.dial(t)
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%s",
		method, path, s.token, body); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got.StatusCode, string(text)
}
