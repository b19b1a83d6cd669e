// Package apitest gives tests a whole server in their own process: store, ingest,
// live view and API on a free port of loopback.
package apitest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/ingest"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// Site is a running server.
type Site struct {
	Store *store.Store
	API   *api.API
	URL   string
}

// Start starts a server on a database of the test; it ends with the test.
func Start(t testing.TB, db storetest.Database, cfg api.Config) *Site {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	registry := prometheus.NewRegistry()
	s, err := store.Open(t.Context(), store.Config{DatabaseURL: db.URL, Detection: db.Detection, Retention: 30 * 24 * time.Hour, Now: cfg.Now}, storetest.Logger(), registry)
	if err != nil {
		t.Fatal(err)
	}
	in := ingest.New(ingest.Config{Horizon: s.Horizon}, s, storetest.Logger(), registry)
	live := broadcaster.New(broadcaster.Config{DatabaseURL: db.URL}, s, storetest.Logger(), registry)
	ui := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the UI") })
	handler := api.New(cfg, api.Parts{Store: s, Ingest: in.Handle, Live: live.Handle, UI: ui, Registry: registry, Logger: storetest.Logger()})
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.Close()
		in.Close()
		live.Close()
		s.Close()
	})
	return &Site{Store: s, API: handler, URL: server.URL}
}

// Post sends snapshots of a machine, a batch at a time, and fails the test unless
// all are stored.
func (s *Site) Post(t testing.TB, machineID string, snapshots []snapshot.Snapshot) {
	t.Helper()
	for len(snapshots) > 0 {
		n := min(100, len(snapshots))
		body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: machineID, Snapshots: snapshots[:n]})
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.Post(s.URL+"/api/v1/snapshots", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusCreated {
			t.Fatalf("post: %s %s", response.Status, text)
		}
		snapshots = snapshots[n:]
	}
}

// Get asks for a path and returns the answer's body.
func (s *Site) Get(t testing.TB, path string) []byte {
	t.Helper()
	response, err := http.Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s (%v)", path, response.Status, text, err)
	}
	return text
}
