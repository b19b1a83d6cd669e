package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/api/apitest"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// An export ends soon after its caller has lost access.
func TestExportAfterRevocation(t *testing.T) {
	t.Parallel()
	s := testServerOf(t, apitest.Start(t, storetest.Postgres(t), apitest.Config{}))
	path := s.largeExport()
	whole := s.get("%s", path)
	secret, token, err := s.auth.CreateToken(t.Context(), auth.TokenParams{
		Name: "revoked", Role: auth.RoleUser, Tags: []string{auth.AllMachines},
	})
	if err != nil {
		t.Fatal(err)
	}
	response := s.getUnread(path, secret)
	got := s.do(http.MethodDelete, fmt.Sprintf("/api/v1/tokens/%d", token.ID), "")
	if got.status != http.StatusNoContent {
		t.Fatal(got.status, got.text)
	}
	received, err := io.Copy(io.Discard, response.Body)
	if err == nil || received >= int64(len(whole.text)) {
		t.Errorf("after the revocation, %d of %d bytes were received (%v)", received, len(whole.text), err)
	}
}

// A HEAD request for an export ends without reading all of it.
func TestHeadOfExport(t *testing.T) {
	t.Parallel()
	s := testServerOf(t, apitest.Start(t, storetest.Postgres(t), apitest.Config{}))
	path := s.largeExport()
	conn := s.dial(t)
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	for i := range 2 * api.MaxCallerExports { // on one connection, which each request must leave free
		if _, err := fmt.Fprintf(conn, "HEAD %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", path,
			s.token); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodHead})
		if err != nil || response.StatusCode != http.StatusOK ||
			response.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Fatalf("request %d: %v (%v)", i, response, err)
		}
		if s.api.OpenExports() != 0 {
			t.Errorf("the export goes on after response %d", i)
		}
	}
}
