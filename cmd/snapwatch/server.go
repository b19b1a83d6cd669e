package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/ingest"
	"github.com/snapwatch/snapwatch/internal/basepath"
	"github.com/snapwatch/snapwatch/internal/buildinfo"
	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/connlimit"
	"github.com/snapwatch/snapwatch/internal/health"
	"github.com/snapwatch/snapwatch/internal/tlscert"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/embedded"
	"github.com/snapwatch/snapwatch/ui"
)

// stopTimeout bounds the shutdown: responses under way, and the end of the private database.
const stopTimeout = 30 * time.Second

// settings is everything that configures a server.
type settings struct {
	database config.Database
	server   config.Server
	access   config.Access
	oidc     config.OIDC
	tls      config.TLS
}

// server is a running server with its database.
type server struct {
	settings
	logger   *slog.Logger
	registry *prometheus.Registry

	cluster     *embedded.Cluster // nil with a database of the user's
	databaseURL string
	store       *store.Store
	auth        *auth.Service
	ingest      *ingest.Ingest
	broadcaster *broadcaster.Broadcaster

	health  *health.Checker
	startup *startup

	setupSecret string // of the link for the first administrator, "" if there is one

	listener net.Listener
	tlsSetup tlsSetup
	proxies  []netip.Prefix
	caches   cacheSizes
	basePath string // the path below which everything is served, or ""
	http     *http.Server
	admin    *adminServer // nil if there is no admin address
	local    *http.Server // for the local agent; nil if it uses the listener of all
	failed   chan error   // receives the error that ended serving

	record *record // nil if it could not be written

	stopSupervisor func() // ends Supervise of the cluster, and waits for its end
	stopBackground context.CancelFunc
	backgroundDone chan struct{}
}

// start starts the database, migrates its schema and serves. If a step fails, it stops what it has
// started.
func start(ctx context.Context, all settings, logger *slog.Logger) (_ *server, err error) {
	s := &server{settings: all, logger: logger, registry: newRegistry(), failed: make(chan error, 1)}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	if err := s.startAdmin(ctx); err != nil {
		return nil, err
	}
	s.startup = newStartup(s.basePath)
	s.http = newHTTPServer(s.startup, logger)
	s.serve()
	if err := s.openStore(ctx); err != nil {
		return nil, err
	}
	if err := s.openAuth(ctx, all.access); err != nil {
		return nil, err
	}
	provider, err := newOIDC(all.oidc, s.auth)
	if err != nil {
		return nil, err
	}
	handler := s.newHandler(provider)
	s.runBackground()
	s.health.WaitForFirst(ctx) // so that pages do not show results that are missing
	s.startup.finish(handler)
	s.recordRunning()
	return s, nil
}

// recordRunning lets commands find this server. A failure does not stop it.
func (s *server) recordRunning() {
	running := runningServer{PID: os.Getpid(), External: s.cluster == nil}
	var err error
	if running.DataDir, err = s.database.Dir(); err == nil {
		s.record, err = newRecord(s.database.RuntimePath(), running)
	}
	if err != nil {
		s.logger.Warn("commands cannot find this server without --data-dir", "err", err)
	}
}

// listen checks the settings that need no database, and listens. That comes before the database: an
// address in use is a likely fault, and quick to find.
func (s *server) listen(ctx context.Context) error {
	dir, err := s.database.Dir()
	if err != nil {
		return err
	}
	if s.tlsSetup, err = newTLS(s.tls, dir, s.logger); err != nil {
		return err
	}
	if s.caches, err = newCacheSizes(s.server, memoryLimit()); err != nil {
		return err
	}
	if s.proxies, err = parseProxies(s.access.TrustedProxies); err != nil {
		return err
	}
	if s.basePath, err = basepath.Parse(s.server.BasePath); err != nil {
		return fmt.Errorf("--base-path: %w", err)
	}
	if err := checkRedirectURL(s.oidc.OIDCRedirectURL, s.basePath); err != nil {
		return err
	}
	if s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", s.server.Listen); err != nil {
		return fmt.Errorf("listen: %w; choose another address with --listen", err)
	}
	return nil
}

// openStore starts the private cluster if no database is set, migrates the schema and opens the store.
func (s *server) openStore(ctx context.Context) error {
	s.databaseURL = s.database.DatabaseURL
	if s.databaseURL == "" {
		var err error
		if s.cluster, err = s.startCluster(ctx); err != nil {
			return err
		}
		s.supervise()
		registerClusterMetrics(s.registry, s.cluster.State)
		s.databaseURL = s.cluster.URL()
	}
	if err := s.untilAvailable(ctx, s.openSchema); err != nil {
		return err
	}
	if role := s.server.ReaderRole; role != "" {
		s.grantReader(ctx, role)
	}
	return nil
}

// openSchema migrates the schema and opens the store.
func (s *server) openSchema(ctx context.Context) error {
	pooled, err := store.CheckSessions(ctx, s.databaseURL)
	if err != nil {
		return err
	}
	if pooled {
		s.logger.Info("a connection pooler is in front of the database; its pool must have room for all connections "+
			"of all servers", "connections", s.server.MaxConns+1)
	}
	detection, err := store.MigrateAndReport(ctx, s.databaseURL, s.database.Profile, s.logger, s.startup.setLockHolders)
	if err != nil {
		return err
	}
	s.logger.Info("storage profile", "profile", detection.Profile, "reason", detection.Reason)
	var onReadConnect func(pid uint32)
	if s.cluster != nil {
		onReadConnect = s.cluster.LowerPriority
	}
	registry := prometheus.NewRegistry() // of its own, because a later attempt registers the metrics again
	s.store, err = store.Open(ctx, store.Config{
		DatabaseURL:   s.databaseURL,
		Detection:     detection,
		Retention:     s.server.Retention.Duration(),
		ExitsDays:     s.server.ExitsDays,
		MaxConns:      s.server.MaxConns,
		PostConns:     postConns(s.server.Writers),
		Pooled:        pooled,
		OnReadConnect: onReadConnect,
		RunCacheSize:  s.caches.runs,
		TextCacheSize: s.caches.texts,
	}, s.logger, registry)
	if err != nil {
		return err
	}
	return s.registry.Register(registry)
}

// postConns returns the number of database connections for posts: one for each live and each late writer, one for
// notifications, and one for maintenance.
func postConns(writers int) int { return 2*writers + 2 }

// newHandler builds ingest, the live view and the API.
func (s *server) newHandler(provider *auth.OIDC) http.Handler {
	access := api.NewAccess(auth.NewPolicy(auth.Rules()), s.auth, s.store.Permissions())
	s.ingest = ingest.New(ingest.Config{
		Authorize: access.AuthorizeWrite,
		Accept:    s.acceptPosts,
		Horizon:   s.store.Horizon,
		Writers:   s.server.Writers,
		GroupRows: s.server.GroupRows,
		GroupWait: s.server.GroupWait,
		QueueRows: s.server.QueueRows,
		BodyBytes: s.server.BodyBytes,
	}, s.store, s.logger, s.registry)
	s.broadcaster = broadcaster.New(broadcaster.Config{
		DatabaseURL:      cmp.Or(s.database.ListenDatabaseURL, s.databaseURL),
		MaxSockets:       s.server.MaxSockets,
		OnListening:      s.auth.SetListening,
		OnAccessChange:   s.auth.AccessChanged,
		OnSettingsChange: s.store.SettingsChanged,
	}, s.store.Live(), access, s.logger, s.registry)
	s.health = s.newHealth()
	gin.SetMode(gin.ReleaseMode)
	return api.New(api.Config{
		Version:           buildinfo.Version(),
		AllowedHosts:      allowedHosts(s.server, s.tls.ACMEDomains, s.listener.Addr()),
		MachineMetrics:    s.server.MachineMetrics,
		TrustedProxies:    s.proxies,
		BasePath:          s.basePath,
		RequestRate:       s.access.RequestRate,
		AgentCertificates: s.tls.AgentCA != "",
		Reads:             s.maxReads(),
	}, api.Parts{
		Store:    s.store,
		Access:   access,
		OIDC:     provider,
		OIDCName: s.oidc.OIDCName,
		Ingest:   s.ingest.Handle,
		Live:     s.broadcaster.Handle,
		Health:   s.health.Results,
		UI:       ui.Handler(),
		Registry: s.registry,
		Logger:   s.logger,
	})
}

// maxReads returns how many reads use the database at the same time. On this machine, more than it has CPUs would not
// end sooner, and commits would wait longer for a CPU.
func (s *server) maxReads() int {
	if s.cluster == nil {
		return s.store.ReadConns()
	}
	return min(s.store.ReadConns(), max(runtime.GOMAXPROCS(0), 2))
}

func newHTTPServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ConnContext:       api.LimitWriteBuffer,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// serve accepts connections in the background.
func (s *server) serve() {
	limited := connlimit.New(s.listener, connlimit.Config{
		Total:      s.access.MaxConnections,
		PerAddress: s.access.MaxClientConnections,
		Exempt:     s.proxies,
	}, s.registry)
	if s.secure() {
		s.http.TLSConfig = s.tlsSetup.config
		go func() { s.failed <- s.http.ServeTLS(limited, "", "") }()
		return
	}
	go func() { s.failed <- s.http.Serve(limited) }()
	if ip, ok := s.listener.Addr().(*net.TCPAddr); ok && !ip.IP.IsLoopback() {
		s.logger.Warn(
			"other machines can reach this server over plain HTTP, which exposes passwords, tokens and process lists; "+
				"set --tls-cert or --acme-domains, or listen on loopback behind a proxy with TLS",
			"listen", ip.String(),
		)
	}
}

// runBackground starts the maintenance of the store and of the accounts, the live view's LISTEN
// connection and, if it is set, the listener for ACME challenges over HTTP.
func (s *server) runBackground() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stopBackground, s.backgroundDone = cancel, make(chan struct{})
	go func() {
		defer close(s.backgroundDone)
		var running sync.WaitGroup
		running.Go(func() { s.store.Maintain(ctx) })
		running.Go(func() { s.store.FollowSettings(ctx) })
		running.Go(func() { s.auth.Run(ctx) })
		running.Go(func() { s.broadcaster.Run(ctx) })
		running.Go(func() { s.health.Run(ctx) })
		if s.tlsSetup.acme != nil && s.tls.ACMEHTTP != "" {
			running.Go(func() { s.answerACME(ctx, s.tlsSetup.acme) })
		}
		running.Wait()
	}()
}

func (s *server) answerACME(ctx context.Context, acme *tlscert.ACME) {
	if err := acme.ServeHTTP(ctx, s.tls.ACMEHTTP); err != nil {
		s.logger.Error("could not answer ACME challenges over HTTP", "err", err)
	}
}

func (s *server) secure() bool { return s.tlsSetup.config != nil }

// url returns the server's address for browsers on this machine, with the base path.
func (s *server) url() string {
	scheme := "http://"
	if s.secure() {
		scheme = "https://"
	}
	address, ok := s.listener.Addr().(*net.TCPAddr)
	if !ok || !address.IP.IsUnspecified() {
		return scheme + s.listener.Addr().String() + s.basePath
	}
	return fmt.Sprintf("%s127.0.0.1:%d%s", scheme, address.Port, s.basePath)
}

// wait returns nil when ctx ends, or the error that ended serving.
func (s *server) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return fmt.Errorf("serve: %w", err)
	}
}

// stop shuts down in an order that loses nothing. Sockets get their close frame first. Then the server
// accepts no requests, and those under way get their responses, which follow the commit. The database
// stops last.
func (s *server) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if s.record != nil {
		s.record.remove()
	}
	if s.broadcaster != nil {
		s.broadcaster.Close()
	}
	if s.local != nil {
		if err := s.local.Shutdown(ctx); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.logger.Warn("a request of the local agent was cut off", "err", err)
		}
	}
	if s.http != nil {
		if err := s.http.Shutdown(ctx); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.logger.Warn("some requests were cut off", "err", err)
		}
	} else if s.listener != nil {
		_ = s.listener.Close()
	}
	if s.ingest != nil {
		s.ingest.Close()
	}
	if s.stopBackground != nil {
		s.stopBackground()
		<-s.backgroundDone
	}
	if s.store != nil {
		s.store.Close()
	}
	if s.cluster != nil {
		s.stopSupervisor()
		if err := s.cluster.Stop(ctx); err != nil {
			s.logger.Error("could not stop the private database", "err", err)
		}
	}
	if s.admin != nil {
		s.admin.close()
	}
}
