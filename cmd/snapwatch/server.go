package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/ingest"
	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/connlimit"
	"github.com/snapwatch/snapwatch/internal/tlscert"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/embedded"
	"github.com/snapwatch/snapwatch/ui"
)

// stopTimeout bounds each step of a shutdown.
const stopTimeout = 30 * time.Second

// server is a running server with its database.
type server struct {
	logger      *slog.Logger
	cluster     *embedded.Cluster // nil with a database of the user's
	store       *store.Store
	auth        *auth.Service
	ingest      *ingest.Ingest
	broadcaster *broadcaster.Broadcaster
	http        *http.Server
	listener    net.Listener
	secure      bool       // it speaks TLS; http.Server sets its TLSConfig in any case
	failed      chan error // what ended serving

	background     context.CancelFunc
	backgroundDone chan struct{}
}

// settings are all that a server is told.
type settings struct {
	database config.Database
	server   config.Server
	oidc     config.OIDC
	tls      config.TLS
}

// start brings up the database, the schema and the server. What it started is
// stopped again if a later step fails.
func start(ctx context.Context, all settings, logger *slog.Logger) (_ *server, err error) {
	database, cfg := all.database, all.server
	s := &server{logger: logger, failed: make(chan error, 1)}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	dir, err := database.Dir()
	if err != nil {
		return nil, err
	}
	secure, err := newTransport(all.tls, dir, logger)
	if err != nil {
		return nil, err
	}
	trusted, err := proxies(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	// The address first: a port that is taken is the likeliest fault, and quick to tell.
	if s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen: %w; choose another address with --listen", err)
	}
	databaseURL := database.DatabaseURL
	if databaseURL == "" {
		s.cluster, err = embedded.Start(
			ctx, embedded.Config{Dir: dir, BinDir: database.PostgresBin, Durable: true, Logger: logger},
		)
		if err != nil {
			return nil, fmt.Errorf("start the private database: %w", err)
		}
		databaseURL = s.cluster.URL()
	}
	found, err := store.Migrate(ctx, databaseURL, database.Profile)
	if err != nil {
		return nil, err
	}
	logger.Info("storage profile", "profile", found.Profile, "reason", found.Reason)
	registry := newRegistry()
	s.store, err = store.Open(
		ctx,
		store.Config{DatabaseURL: databaseURL, Detection: found, Retention: cfg.Retention, MaxConns: cfg.MaxConns},
		logger, registry,
	)
	if err != nil {
		return nil, err
	}
	if cfg.ReaderRole != "" {
		ahead, err := s.store.GrantReader(ctx, cfg.ReaderRole)
		switch {
		case err != nil:
			logger.Warn("the reader's role has no rights", "role", cfg.ReaderRole, "err", err)
		case !ahead:
			logger.Warn(
				"the reader's role does not find the views; run, as a superuser: ALTER ROLE "+cfg.ReaderRole+" SET search_path = history, public",
				"role", cfg.ReaderRole,
			)
		}
	}
	if err := s.newAuth(ctx, cfg.Access); err != nil {
		return nil, err
	}
	provider, err := newOIDC(all.oidc, s.auth)
	if err != nil {
		return nil, err
	}
	access := api.NewAccess(auth.NewPolicy(auth.Rules()), s.auth, s.store.Queries)
	s.ingest = ingest.New(
		ingest.Config{
			Authorize: access.AuthorizeWrite,
			Horizon:   s.store.Horizon,
			Writers:   cfg.Writers,
			GroupRows: cfg.GroupRows,
			GroupWait: cfg.GroupWait,
			QueueRows: cfg.QueueRows,
			BodyBytes: cfg.BodyBytes,
		},
		s.store,
		logger,
		registry,
	)
	s.broadcaster = broadcaster.New(
		broadcaster.Config{DatabaseURL: databaseURL, MaxSockets: cfg.MaxSockets, OnAccessChange: s.auth.InvalidateCache}, s.store,
		access, logger, registry,
	)
	gin.SetMode(gin.ReleaseMode)
	handler := api.New(
		api.Config{
			Version:           version,
			AllowedHosts:      allowedHosts(cfg, all.tls.ACMEDomains, s.listener.Addr()),
			MachineMetrics:    cfg.MachineMetrics,
			TrustedProxies:    trusted,
			RequestRate:       cfg.RequestRate,
			AgentCertificates: all.tls.AgentCA != "",
		},
		api.Parts{
			Store: s.store, Access: access, OIDC: provider, OIDCName: all.oidc.OIDCName, Ingest: s.ingest.Handle, Live: s.broadcaster.Handle, UI: ui.Handler(), Registry: registry, Logger: logger},
	)
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	s.runBackground(secure.acme, all.tls.ACMEHTTP)
	bounded := connlimit.New(
		s.listener,
		connlimit.Config{Total: cfg.MaxConnections, PerAddress: cfg.MaxClientConnections, Exempt: trusted}, registry,
	)
	if secure.config != nil {
		s.http.TLSConfig, s.secure = secure.config, true
		go func() { s.failed <- s.http.ServeTLS(bounded, "", "") }()
	} else {
		go func() { s.failed <- s.http.Serve(bounded) }()
	}
	if ip, ok := s.listener.Addr().(*net.TCPAddr); ok && !ip.IP.IsLoopback() && secure.config == nil {
		logger.Warn(
			"other machines reach this server in plain HTTP: passwords, tokens and process lists travel in the clear. Use --tls-cert or --acme-domains, or put a proxy that speaks TLS before it and bind it to loopback",
			"listen", ip.String(),
		)
	}
	return s, nil
}

// runBackground starts the upkeep of the store and of the accounts, and the ears of
// the live view; with an authority's certificates and an address, also the answers
// that the authority looks for there.
func (s *server) runBackground(acme *tlscert.ACME, address string) {
	ctx, cancel := context.WithCancel(context.Background())
	s.background, s.backgroundDone = cancel, make(chan struct{})
	go func() {
		defer close(s.backgroundDone)
		var running sync.WaitGroup
		running.Go(func() { s.store.Maintain(ctx) })
		running.Go(func() { s.auth.Run(ctx) })
		running.Go(func() { s.broadcaster.Run(ctx) })
		if acme != nil && address != "" {
			running.Go(func() {
				if err := acme.ServeHTTP(ctx, address); err != nil {
					s.logger.Error("ACME is not answered over HTTP", "err", err)
				}
			})
		}
		running.Wait()
	}()
}

// url returns the address to open in a browser.
func (s *server) url() string {
	scheme := "http://"
	if s.secure {
		scheme = "https://"
	}
	address, ok := s.listener.Addr().(*net.TCPAddr)
	if !ok || !address.IP.IsUnspecified() {
		return scheme + s.listener.Addr().String()
	}
	return fmt.Sprintf("%s127.0.0.1:%d", scheme, address.Port)
}

// wait returns when ctx ends, or with the error that ended serving.
func (s *server) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return fmt.Errorf("serve: %w", err)
	}
}

// stop ends in an order that loses nothing: sockets get their close frame, no
// request is begun, those under way get their answers, which come after the
// commit, and then the database goes.
func (s *server) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if s.broadcaster != nil {
		s.broadcaster.Close()
	}
	if s.http != nil {
		if err := s.http.Shutdown(ctx); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.logger.Warn("requests were cut off", "err", err)
		}
	} else if s.listener != nil {
		_ = s.listener.Close()
	}
	if s.ingest != nil {
		s.ingest.Close()
	}
	if s.background != nil {
		s.background()
		<-s.backgroundDone
	}
	if s.store != nil {
		s.store.Close()
	}
	if s.cluster != nil {
		if err := s.cluster.Stop(ctx); err != nil {
			s.logger.Error("could not stop the private database", "err", err)
		}
	}
}

func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	labels := prometheus.Labels{"version": version, "revision": "", "goversion": runtime.Version()}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				labels["revision"] = setting.Value
			}
		}
	}
	info := prometheus.NewGauge(
		prometheus.GaugeOpts{
			Name:        "snapwatch_build_info",
			Help:        "1, with what the server was built from.",
			ConstLabels: labels,
		},
	)
	info.Set(1)
	registry.MustRegister(
		info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}

// allowedHosts returns the names that browsers may use: as set or, on loopback,
// those of loopback and those that certificates are got for.
func allowedHosts(cfg config.Server, domains []string, address net.Addr) []string {
	if len(cfg.AllowedHosts) > 0 {
		return cfg.AllowedHosts
	}
	if tcp, ok := address.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return append([]string{"localhost", "127.0.0.1", "::1", tcp.IP.String()}, domains...)
	}
	return nil
}
