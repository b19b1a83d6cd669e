package api_test

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/api/apitest"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// getUnread sends a GET request over a connection of its own and reads nothing but the head of the response.
func (s *testServer) getUnread(path, secret string) *http.Response {
	s.t.Helper()
	conn := s.dial(s.t)
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadBuffer(64 << 10); err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n",
		path, secret); err != nil {
		s.t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 1024), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return response
}

// userToken returns the token of a user of all machines.
func (s *testServer) userToken(name string) string {
	s.t.Helper()
	secret, _, err := s.auth.CreateToken(s.t.Context(), auth.TokenParams{
		Name: name, Role: auth.RoleUser, Tags: []string{auth.AllMachines},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return secret
}

// largeExport stores snapshots whose export does not fit into the buffers of a connection. It returns the path of the
// export.
func (s *testServer) largeExport() string {
	s.t.Helper()
	const snapshots = 60
	series := snapshottest.NewMachine(1, 400).Series(recentTime(), snapshots, time.Second, 30)
	for i := range series.Snapshots {
		for j := range series.Snapshots[i].Processes {
			if one := &series.Snapshots[i].Processes[j]; one.HasIdentity() {
				one.CommandLine += strings.Repeat(" --argument", 30)
			}
		}
	}
	for i := 0; i < snapshots; i += 30 {
		body, err := snapshot.EncodeBatch(
			&snapshot.Batch{MachineID: "large", Snapshots: series.Snapshots[i : i+30]})
		if err != nil {
			s.t.Fatal(err)
		}
		if got := s.do(http.MethodPost, "/api/v1/snapshots", string(body)); got.status != http.StatusCreated {
			s.t.Fatalf("%d %s", got.status, got.text)
		}
	}
	return "/api/v1/machines/large/export?since=1h"
}

// A caller that does not read its exports can have a few of them, and all callers together have a limit. Exports of
// others end meanwhile. After the stall timeout, the connections of unread exports are closed.
func TestUnreadExports(t *testing.T) {
	t.Parallel()
	s := testServerOf(t, apitest.Start(t, storetest.Postgres(t), apitest.Config{
		Config: api.Config{ExportStallTimeout: 5 * time.Second},
	}))
	path := s.largeExport()
	whole := s.get("%s", path)
	if whole.status != http.StatusOK || len(whole.text) < 10<<20 {
		t.Fatalf("the export has %d bytes", len(whole.text))
	}
	secret := s.userToken("never reads")
	var unread []*http.Response
	for i := range 30 {
		response := s.getUnread(path, secret)
		unread = append(unread, response)
		switch {
		case i < api.MaxCallerExports && response.StatusCode != http.StatusOK:
			t.Errorf("export %d: %s", i, response.Status)
		case i == api.MaxCallerExports && response.StatusCode != http.StatusTooManyRequests,
			response.StatusCode != http.StatusOK && response.Header.Get("Retry-After") == "":
			t.Errorf("export %d: %s, Retry-After %q", i, response.Status, response.Header.Get("Retry-After"))
		}
	}
	if again := s.get("%s", path); again.text != whole.text {
		t.Errorf("an export beside unread ones has %d bytes, not %d", len(again.text), len(whole.text))
	}
	testwait.Until(t, "the end of the unread exports", func() bool { return s.api.OpenExports() == 0 })
	// A client that reads slowly would wait for a part of the buffered bytes to leave.
	if buffered, err := io.Copy(io.Discard, unread[0].Body); err == nil || buffered > 1<<20 {
		t.Errorf("%d bytes were in buffers (%v)", buffered, err)
	}
	if got := s.do(http.MethodGet, path, "", "Authorization", "Bearer "+secret); got.text != whole.text {
		t.Errorf("after the end of the unread exports: %d, %d bytes", got.status, len(got.text))
	}
}

// A page of snapshots with processes has a bounded size, and a read whose response is not read loses its turn.
func TestUnreadSnapshots(t *testing.T) {
	t.Parallel()
	s := testServerOf(t, apitest.Start(t, storetest.Postgres(t), apitest.Config{
		Config: api.Config{StallTimeout: 5 * time.Second, Reads: 2},
	}))
	s.largeExport()
	const path = "/api/v1/machines/large/snapshots?include_processes=true&limit=100&since=1h"
	for range 2 { // the limit of each caller is one
		if response := s.getUnread(path, s.userToken(rand.Text())); response.StatusCode != http.StatusOK {
			t.Fatal(response.Status)
		}
	}
	testwait.Until(t, "the end of the unread responses", func() bool { return s.api.RunningReads() == 0 })
	read, next := 0, path
	for next != "" {
		list := decode[page[struct {
			Processes []struct{} `json:"processes"`
		}]](t, s.get("%s", next))
		total := 0
		for _, one := range list.Results {
			total += len(one.Processes)
		}
		if read += len(list.Results); total > api.MaxPageProcesses || len(list.Results) == 0 {
			t.Fatalf("a page of %d snapshots has %d processes", len(list.Results), total)
		}
		if next = ""; list.NextCursor != nil {
			next = path + "&cursor=" + *list.NextCursor
		}
	}
	if read != 60 {
		t.Errorf("all pages have %d snapshots", read)
	}
}
