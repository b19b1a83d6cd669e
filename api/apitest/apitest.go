// Package apitest starts complete servers in the process of a test: store, ingest, live view and API, on a free port of
// loopback.
package apitest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/ingest"
	"github.com/snapwatch/snapwatch/internal/bearer"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// Config configures a server. Zero values mean the defaults.
type Config struct {
	api.Config
	// Policy replaces the policy of auth.Rules; nil for that one.
	Policy auth.Policy
	// OIDC configures sign-in through an identity provider; nil for none.
	OIDC *auth.OIDCConfig
	// Listen makes the live view listen for notifications, which takes a database connection.
	Listen bool
}

// Server is a running server.
type Server struct {
	Store *store.Store
	Auth  *auth.Service
	API   *api.API
	URL   string
	// Token is the token of an administrator. Client sends it.
	Token  string
	Client *http.Client
}

// FastPasswordParams returns parameters that hash passwords quickly and insecurely.
func FastPasswordParams() *argon2id.Params {
	return &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// Start starts a server on a database. The server stops at the end of the test.
func Start(t testing.TB, db storetest.Database, cfg Config) *Server {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	registry := prometheus.NewRegistry()
	s, err := store.Open(
		t.Context(),
		store.Config{DatabaseURL: db.URL, Detection: db.Detection, Retention: 30 * 24 * time.Hour, Now: cfg.Now},
		storetest.Logger(), registry,
	)
	if err != nil {
		t.Fatal(err)
	}
	authConfig := auth.Config{PasswordParams: FastPasswordParams(), Registry: registry, Now: cfg.Now}
	service, err := auth.New(authConfig, s.Accounts(), storetest.Logger())
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := service.CreateToken(t.Context(), auth.TokenParams{Name: "the test's", Role: auth.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.RequestRate == 0 {
		cfg.RequestRate = 1e6
	}
	if cfg.Policy == nil {
		cfg.Policy = auth.NewPolicy(auth.Rules())
	}
	access := api.NewAccess(cfg.Policy, service, s.Permissions())
	in := ingest.New(
		ingest.Config{Horizon: s.Horizon, Authorize: access.AuthorizeWrite}, s, storetest.Logger(), registry)
	live := broadcaster.New(broadcaster.Config{
		DatabaseURL: db.URL, OnListening: service.SetListening, OnAccessChange: service.AccessChanged,
		OnSettingsChange: s.SettingsChanged,
	}, s.Live(), access, storetest.Logger(), registry)
	ui := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the UI") })
	var provider *auth.OIDC
	if cfg.OIDC != nil {
		provider = auth.NewOIDC(*cfg.OIDC, service)
	}
	handler := api.New(cfg.Config, api.Parts{
		OIDC:     provider,
		Store:    s,
		Access:   access,
		Ingest:   in.Handle,
		Live:     live.Handle,
		UI:       ui,
		Registry: registry,
		Logger:   storetest.Logger(),
	})
	server := httptest.NewUnstartedServer(handler)
	server.Config.ConnContext = api.LimitWriteBuffer
	server.Start()
	listening, stopListening := context.WithCancel(context.WithoutCancel(t.Context()))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if !cfg.Listen {
			return
		}
		var running sync.WaitGroup
		running.Go(func() { live.Run(listening) })
		running.Go(func() { s.FollowSettings(listening) })
		running.Wait()
	}()
	t.Cleanup(func() {
		stopListening()
		<-stopped
		server.Close()
		in.Close()
		live.Close()
		s.Close()
	})
	return &Server{
		Store:  s,
		Auth:   service,
		API:    handler,
		URL:    server.URL,
		Token:  token,
		Client: &http.Client{Transport: bearer.Transport{Token: token}},
	}
}

// Post sends snapshots of a machine in batches, and fails the test unless all are stored.
func (s *Server) Post(t testing.TB, machineID string, snapshots []snapshot.Snapshot) {
	t.Helper()
	for len(snapshots) > 0 {
		n := min(100, len(snapshots))
		body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: machineID, Snapshots: snapshots[:n]})
		if err != nil {
			t.Fatal(err)
		}
		response, err := s.Client.Post(s.URL+"/api/v1/snapshots", "application/json", bytes.NewReader(body))
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

// Get returns the body of a GET request, and fails the test unless it succeeds.
func (s *Server) Get(t testing.TB, path string) []byte {
	t.Helper()
	response, err := s.Client.Get(s.URL + path)
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
