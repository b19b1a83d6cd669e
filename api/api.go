// Package api is the HTTP face of the server: the REST contracts under /api/v1
// with their OpenAPI document, and the places where ingest, the live view, the
// metrics, the health checks and the UI are mounted.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
)

// Config is what the API needs to know.
type Config struct {
	// Version is the server's, for the OpenAPI document.
	Version string
	// AllowedHosts, if any, are the only names that requests may address the
	// server by. It keeps a web page from reaching a server on loopback through a
	// name that it controls (DNS rebinding).
	AllowedHosts []string
	// MachineMetrics is how many machines /metrics/machines tells of; 0 turns it off.
	MachineMetrics int
	// TrustedProxies are the networks whose X-Forwarded-For and X-Forwarded-Proto are
	// believed; none by default.
	TrustedProxies []netip.Prefix
	// RequestRate is how many requests a second a person or a token may make on
	// average, and twice as many at once; 100 by default.
	RequestRate float64
	// AgentCertificates makes agents show a client certificate besides their token.
	AgentCertificates bool
	// QueryTimeout bounds a question about many machines or a long time; 30 s by default.
	QueryTimeout time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Parts is what the API mounts.
type Parts struct {
	Store    *store.Store
	Access   *Access
	OIDC     *auth.OIDC      // log-in through an identity provider; nil for none
	OIDCName string          // what the provider is called on the button
	Ingest   gin.HandlerFunc // POST /api/v1/snapshots
	Live     gin.HandlerFunc // GET /api/v1/live
	UI       http.Handler    // everything outside /api
	Registry *prometheus.Registry
	Logger   *slog.Logger
}

// API is the HTTP handler of the server.
type API struct {
	cfg    Config
	store  *store.Store
	access *Access
	auth   *auth.Service
	oidc   *auth.OIDC
	// oidcName is what the provider is called on the button.
	oidcName  string
	logger    *slog.Logger
	engine    *gin.Engine
	handler   http.Handler
	huma      huma.API
	origin    *http.CrossOriginProtection
	perCaller *auth.Limiter // by caller
	// strangers bounds, by address, what is open to all: it costs the database too.
	perAddress *auth.Limiter
}

// strangerRate is how many requests a second one address may make without a
// credential, on average; ten times as many at once.
const publicRate = 20

// New returns the handler with everything mounted.
func New(cfg Config, parts Parts) *API {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.QueryTimeout == 0 {
		cfg.QueryTimeout = 30 * time.Second
	}
	if cfg.RequestRate == 0 {
		cfg.RequestRate = 100
	}
	a := &API{
		cfg:        cfg,
		store:      parts.Store,
		access:     parts.Access,
		auth:       parts.Access.service,
		oidc:       parts.OIDC,
		oidcName:   parts.OIDCName,
		logger:     parts.Logger,
		engine:     gin.New(),
		origin:     http.NewCrossOriginProtection(),
		perCaller:  auth.NewLimiter(cfg.RequestRate, int(2*cfg.RequestRate)+1),
		perAddress: auth.NewLimiter(publicRate, 10*publicRate),
	}
	a.engine.HandleMethodNotAllowed = true
	a.trustProxies()
	a.engine.Use(a.addRequestInfo, newRequestMetrics(parts.Registry).observe, a.recoverPanic, a.checkHostAndOrigin, a.authorize)
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
	a.engine.POST(ingestPath, parts.Ingest)
	a.engine.GET(livePath, parts.Live)
	a.engine.GET(oidcLoginPath, a.beginOIDC)
	a.engine.GET(oidcCallbackPath, a.finishOIDC)
	a.engine.GET("/healthz", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "alive"}) })
	a.engine.GET("/readyz", a.ready)
	a.mountMetrics(parts.Registry)
	a.engine.NoMethod(func(c *gin.Context) {
		problem.New(http.StatusMethodNotAllowed, "method_not_allowed", c.Request.Method+" is not served here.").
			Write(c.Writer, c.Request)
	})
	a.engine.NoRoute(func(c *gin.Context) {
		if path := c.Request.URL.Path; path == "/api" || strings.HasPrefix(path, "/api/") {
			problem.New(http.StatusNotFound, "not_found", "There is nothing at this address.").
				Write(c.Writer, c.Request)
			return
		}
		c.Status(http.StatusOK) // gin has set 404 already
		parts.UI.ServeHTTP(c.Writer, c.Request)
	})
	a.handler = compress(a.engine)
	return a
}

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// compressed answers with gzip those who take it. Level 3 costs 2 ms for the list of
// 1,000 processes and leaves an eighth of it.
func compress(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(1400), gzhttp.CompressionLevel(3)) // less fits into one packet
	if err != nil {                                                                  // the options are constants
		panic(err)
	}
	return wrap(next)
}

// Document returns the OpenAPI document as JSON.
func (a *API) Document() ([]byte, error) {
	return json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
}

func (a *API) ready(c *gin.Context) {
	if err := a.store.Ping(c.Request.Context()); err != nil {
		a.logger.Warn("not ready", "request_id", problem.RequestID(c.Request.Context()), "err", err)
		problem.New(http.StatusServiceUnavailable, "not_ready", "The database cannot be reached or is not migrated.").
			Write(c.Writer, c.Request)
		return
	}
	found := a.store.Profile()
	c.JSON(http.StatusOK, gin.H{"status": "ready", "profile": found.Profile, "profile_reason": found.Reason})
}

func (a *API) humaConfig() huma.Config {
	config := huma.DefaultConfig("snapwatch", a.cfg.Version)
	config.Info.Description = "Every process on every machine, at every moment. Sizes are in bytes, durations in milliseconds, usage in percent, times RFC 3339 in UTC."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "/api/v1/openapi", "", ""
	config.CreateHooks = nil // no $schema links in answers
	format := huma.Format{
		Marshal:   writeJSON,
		Unmarshal: func(data []byte, v any) error { return jsonv2.Unmarshal(data, v) },
	}
	config.Formats = map[string]huma.Format{"application/json": format, "json": format}
	config.RejectUnknownQueryParameters = true
	config.Transformers = []huma.Transformer{transformProblem}
	return config
}

// transformProblem turns huma's own errors into problems and adds the request's id.
func transformProblem(ctx huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*problem.Problem)
	if model, isModel := v.(*huma.ErrorModel); isModel {
		p, ok = fromHuma(model), true
	}
	if ok {
		p.RequestID = problem.RequestID(ctx.Context())
		return p, nil
	}
	return v, nil
}

func fromHuma(model *huma.ErrorModel) *problem.Problem {
	code := "invalid_field"
	switch {
	case model.Status >= http.StatusInternalServerError:
		return problem.As(model)
	case model.Status == http.StatusBadRequest:
		code = "malformed_json"
	case model.Status != http.StatusUnprocessableEntity:
		code = strings.ReplaceAll(strings.ToLower(http.StatusText(model.Status)), " ", "_")
	}
	p := problem.New(model.Status, code, model.Detail)
	for _, fault := range model.Errors {
		field := fieldOf(fault)
		message := strings.TrimPrefix(fault.Message, "jsontext: ")
		p.Errors = append(p.Errors, problem.Detail{Field: field, Message: message})
		if len(p.Errors) == 1 {
			p.Field, p.Detail = field, strings.TrimPrefix(field+": "+message, ": ")
		}
	}
	return p
}

var missingPattern = regexp.MustCompile(`^expected required property (\S+) to be present$`)

// fieldOf names the field at fault without saying which part of the request it
// is in; it is empty for the body as a whole.
func fieldOf(fault *huma.ErrorDetail) string {
	part, field, _ := strings.Cut(fault.Location, ".")
	if match := missingPattern.FindStringSubmatch(fault.Message); match != nil {
		return strings.TrimPrefix(field+"."+match[1], ".")
	}
	if field == "" && part != "body" {
		return part
	}
	return field
}

func noMachine() *problem.Problem {
	return problem.New(http.StatusNotFound, "unknown_machine", "There is no such machine.")
}

// fail turns an error of the store into a problem, and logs it if it is ours.
func (a *API) fail(ctx context.Context, err error) error {
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		return p
	}
	if wait, ok := errors.AsType[*auth.RateLimitError](err); ok {
		return tooMany(wait)
	}
	if p := accountProblem(err); p != nil {
		return p
	}
	switch {
	case errors.Is(err, snapshot.ErrNoMachine):
		return noMachine()
	case errors.Is(err, snapshot.ErrNoSnapshot):
		return problem.New(
			http.StatusNotFound, "no_snapshot",
			"There is no snapshot of this machine at or before that time, or it is no longer kept.",
		)
	case errors.Is(err, store.ErrVersionMismatch):
		return problem.New(
			http.StatusPreconditionFailed, "version_mismatch",
			"The machine's config has changed since you read it; read it again.",
		)
	case errors.Is(err, query.ErrNoProcess):
		return problem.New(
			http.StatusNotFound, "unknown_process", "Nothing is known of such a process on this machine.",
		)
	case errors.Is(err, context.DeadlineExceeded):
		a.logger.Warn("a question took too long", "request_id", problem.RequestID(ctx), "err", err)
		return problem.New(
			http.StatusServiceUnavailable, "too_slow",
			"The answer took longer than "+a.cfg.QueryTimeout.String()+"; ask for a shorter window or fewer machines.",
		)
	case errors.Is(err, context.Canceled):
		return problem.New(499, "client_gone", "The client went away.")
	}
	a.logger.Error("a request failed", "request_id", problem.RequestID(ctx), "err", err)
	return problem.As(err)
}
