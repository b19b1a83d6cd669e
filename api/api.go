// Package api is the HTTP server: the REST API under /api/v1 with its OpenAPI document, and the mount points of
// ingest, the live view, Prometheus metrics, health checks and the UI.
package api

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/basepath"
	"github.com/snapwatch/snapwatch/internal/health"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/store"
)

// Config configures the API. Zero values mean the defaults.
type Config struct {
	// Version is the server's version, for the OpenAPI document.
	Version string
	// AllowedHosts are the host names that requests may address the server by; none means all. It keeps a web page
	// from reaching a server on loopback through a name that the page controls (DNS rebinding).
	AllowedHosts []string
	// MachineMetrics is the maximum number of machines in /metrics/machines; 0 turns the endpoint off.
	MachineMetrics int
	// TrustedProxies are the networks whose X-Forwarded-* headers are used; none by default.
	TrustedProxies []netip.Prefix
	// BasePath is the path below which everything is served, as basepath.Parse returns it; "" is the root.
	BasePath string
	// RequestRate is how many requests per second a user or a token may send on average, with bursts of twice as
	// many; 100 by default.
	RequestRate float64
	// AgentCertificates requires a client certificate from agents, in addition to their token.
	AgentCertificates bool
	// QueryTimeout limits queries about many machines or a long time; 30 seconds by default.
	QueryTimeout time.Duration
	// Reads is how many reads use the database at the same time; 8 by default. It should be the number of connections
	// for reads.
	Reads int
	// StallTimeout is how long a client may read nothing of a response before its connection is closed; 20 seconds by
	// default.
	StallTimeout time.Duration
	// ExportStallTimeout is the same for an export; two minutes by default. A client with HTTP/2 may ask for more only
	// after it has read megabytes.
	ExportStallTimeout time.Duration
	// Now is the clock; time.Now by default.
	Now func() time.Time
}

func (c *Config) setDefaults() {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.QueryTimeout == 0 {
		c.QueryTimeout = 30 * time.Second
	}
	if c.Reads == 0 {
		c.Reads = 8
	}
	if c.StallTimeout == 0 {
		c.StallTimeout = 20 * time.Second
	}
	if c.ExportStallTimeout == 0 {
		c.ExportStallTimeout = 2 * time.Minute
	}
	if c.RequestRate == 0 {
		c.RequestRate = 100
	}
}

// Parts are the components that the API uses and mounts.
type Parts struct {
	Store    *store.Store
	Access   *Access
	OIDC     *auth.OIDC      // sign-in through an identity provider; nil for none
	OIDCName string          // name of the provider, for the sign-in button
	Ingest   gin.HandlerFunc // serves POST /api/v1/snapshots
	Live     gin.HandlerFunc // serves GET /api/v1/live
	UI       http.Handler    // serves everything outside /api
	// Health returns the results of the health checks, for /readyz. By default, /readyz checks the database.
	Health   func() []health.Result
	Registry *prometheus.Registry
	Logger   *slog.Logger
}

// API is the HTTP handler of the server.
type API struct {
	cfg      Config
	store    *store.Store
	access   *Access
	auth     *auth.Service
	oidc     *auth.OIDC
	oidcName string
	logger   *slog.Logger
	health   func() []health.Result
	engine   *gin.Engine
	handler  http.Handler
	huma     huma.API
	origin   *http.CrossOriginProtection
	// listParameters are the query parameters that may be repeated, by operation.
	listParameters map[string][]string
	// perCaller limits authenticated requests, by user or token.
	perCaller *auth.Limiter
	// reads limits the reads that use the database at the same time.
	reads *readLimit
	// exports limits the exports that are open at the same time.
	exports *exportLimit
	// perAddress limits requests without a credential, by client address: they use the database too.
	perAddress    *auth.Limiter
	proxyWarnings *proxyWarnings
}

// publicRate is how many requests per second an address may send without a credential on average. Bursts are ten times
// as many.
const publicRate = 20

// New returns the handler of the server.
func New(cfg Config, parts Parts) *API {
	cfg.setDefaults()
	a := &API{
		cfg:           cfg,
		store:         parts.Store,
		access:        parts.Access,
		auth:          parts.Access.service,
		oidc:          parts.OIDC,
		oidcName:      parts.OIDCName,
		logger:        parts.Logger,
		engine:        gin.New(),
		origin:        http.NewCrossOriginProtection(),
		perCaller:     auth.NewLimiter(cfg.RequestRate, int(2*cfg.RequestRate)+1),
		perAddress:    auth.NewLimiter(publicRate, 10*publicRate),
		proxyWarnings: newProxyWarnings(parts.Logger, cfg.Now, parts.Registry),
		reads:         newReadLimit(cfg.Reads, parts.Registry),
		exports:       newExportLimit(parts.Registry),
		health:        parts.Health,
	}
	a.engine.HandleMethodNotAllowed = true
	a.engine.RedirectTrailingSlash = false // gin's redirects use X-Forwarded-Prefix of any sender
	a.trustProxies()
	observe := newRequestMetrics(parts.Registry).observe
	a.engine.Use(addRetryAfter, a.addRequestInfo, observe, a.recoverPanic, a.checkHostAndOrigin,
		a.refuseInvalidParameters, a.limitTime, a.limitStalls, a.authorize, a.limitExports, a.limitReads,
		a.refuseInvalidBody)
	a.registerOperations()
	a.mountHandlers(parts)
	a.handler = answerHead(&bodyDiscarder{compress(a.resolveSite(a.engine)), maxDiscardedBytes, discardTimeout})
	return a
}

// registerOperations registers the REST operations and completes the OpenAPI document.
func (a *API) registerOperations() {
	a.huma = humagin.New(a.engine, a.humaConfig())
	a.registerMachines()
	a.registerSnapshots()
	a.registerMachineMetrics()
	a.registerTopProcesses()
	a.registerProcessHistory()
	a.registerDiff()
	a.registerTrends()
	a.registerFindProcesses()
	a.registerExport()
	a.registerStorage()
	a.registerLogin()
	a.registerMe()
	a.registerUsers()
	a.registerTokens()
	a.registerEnrolment()
	a.registerAudit()
	a.describeOtherRoutes()
	a.describeSecurity()
	a.listParameters = listParametersOf(a.huma.OpenAPI())
}

// mountHandlers mounts everything that is not a REST operation.
func (a *API) mountHandlers(parts Parts) {
	a.engine.POST(ingestPath, parts.Ingest)
	a.engine.GET(livePath, parts.Live)
	a.engine.GET(oidcLoginPath, a.beginOIDC)
	a.engine.GET(OIDCCallbackPath, a.finishOIDC)
	a.engine.GET("/healthz", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "alive"}) })
	a.engine.GET("/readyz", a.ready)
	a.mountMetrics(parts.Registry)
	a.mountOpenAPI()
	a.engine.NoMethod(func(c *gin.Context) {
		problem.New(http.StatusMethodNotAllowed, "method_not_allowed",
			"This path does not support the method "+c.Request.Method+".").Write(c.Writer, c.Request)
	})
	a.engine.NoRoute(func(c *gin.Context) {
		if path := c.Request.URL.Path; path == "/api" || strings.HasPrefix(path, "/api/") {
			problem.New(http.StatusNotFound, "not_found", "The API has no such path. See "+
				basepath.Of(c.Request.Context())+openAPIPath+".json.").Write(c.Writer, c.Request)
			return
		}
		c.Status(http.StatusOK) // gin has set 404 already
		parts.UI.ServeHTTP(c.Writer, c.Request)
	})
}

// ServeHTTP serves a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// compress returns a handler that compresses responses with gzip for clients that accept it. Level 3 takes 2 ms for the
// list of 1,000 processes and reduces it to an eighth.
func compress(next http.Handler) http.Handler {
	const onePacket = 1400 // bytes; compressing less gains nothing
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(onePacket), gzhttp.CompressionLevel(3))
	if err != nil { // the options are constants
		panic(err)
	}
	return wrap(next)
}

// Document returns the OpenAPI document as JSON.
func (a *API) Document() ([]byte, error) {
	return json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
}
