package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/histogram"
	"github.com/snapwatch/snapwatch/internal/problem"
)

var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// identify gives the request an id, the caller's own if it has a sound one, and
// logs how it ended.
func (a *API) addRequestInfo(c *gin.Context) {
	id := c.GetHeader("X-Request-Id")
	if !requestIDPattern.MatchString(id) {
		var random [8]byte
		_, _ = rand.Read(random[:])
		id = hex.EncodeToString(random[:])
	}
	v := requestInfo{secure: a.isSecure(c)}
	if cookie, err := c.Request.Cookie(a.cookieName(c, deviceCookie)); err == nil {
		v.device = cookie.Value
	}
	ctx := context.WithValue(problem.WithRequestID(c.Request.Context(), id), requestInfoKey{}, v)
	ctx = auth.WithClient(ctx, auth.Client{Address: c.ClientIP(), UserAgent: c.Request.UserAgent(), RequestID: id})
	c.Request = c.Request.WithContext(ctx)
	c.Writer.Header().Set("X-Request-Id", id)
	a.setSecurityHeaders(c, v)
	started := time.Now()
	c.Next()
	a.logger.Debug(
		"request", "request_id", id, "method", c.Request.Method, "path", c.Request.URL.Path,
		"status", c.Writer.Status(), "took", time.Since(started),
	)
}

// recover answers a panic with a problem and keeps the server up.
func (a *API) recoverPanic(c *gin.Context) {
	defer func() {
		if fault := recover(); fault != nil {
			a.logger.Error(
				"a request panicked", "request_id", problem.RequestID(c.Request.Context()),
				"path", c.Request.URL.Path, "panic", fault, "stack", string(debug.Stack()),
			)
			if !c.Writer.Written() {
				problem.As(nil).Write(c.Writer, c.Request)
			}
			c.Abort()
		}
	}()
	c.Next()
}

// nothingAllowed is the policy of answers that are no pages: if a browser shows one
// all the same, it loads and runs nothing. The UI's pages set their own.
const defaultCSP = "default-src 'none'; frame-ancestors 'none'"

// secure sets the headers that make browsers careful.
func (a *API) setSecurityHeaders(c *gin.Context, v requestInfo) {
	header := c.Writer.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", defaultCSP)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	if v.secure { // from now on browsers ask no other way
		header.Set("Strict-Transport-Security", "max-age=31536000")
	}
	if requiresCredential(c.Request.URL.Path) {
		header.Set("Cache-Control", "no-store")
	}
}

// trustProxies lets gin believe the proxies that are trusted, and no others, about
// where a request comes from.
func (a *API) trustProxies() {
	proxies := make([]string, len(a.cfg.TrustedProxies))
	for i, p := range a.cfg.TrustedProxies {
		proxies[i] = p.String()
	}
	if err := a.engine.SetTrustedProxies(proxies); err != nil { // they are prefixes already
		panic(err)
	}
}

// guard refuses requests that a web page of another origin makes a browser send, and
// names that are not the server's.
func (a *API) checkHostAndOrigin(c *gin.Context) {
	host := c.Request.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if len(a.cfg.AllowedHosts) > 0 && !slices.Contains(a.cfg.AllowedHosts, strings.ToLower(host)) {
		problem.New(http.StatusMisdirectedRequest, "unknown_host", "This server does not answer to that name; see --allowed-hosts.").
			Write(c.Writer, c.Request)
		c.Abort()
		return
	}
	if err := a.origin.Check(c.Request); err != nil {
		problem.New(http.StatusForbidden, "cross_origin", "A page of another origin may not do this.").
			Write(c.Writer, c.Request)
		c.Abort()
	}
}

// requestMetrics counts requests by route, not by path, so that the number of
// series is bounded.
type requestMetrics struct {
	seconds *prometheus.HistogramVec
}

func newRequestMetrics(registry prometheus.Registerer) *requestMetrics {
	m := &requestMetrics{
		seconds: prometheus.NewHistogramVec(
			histogram.Options(
				"snapwatch_http_request_seconds", "Time of a request, by route, method and status.",
				prometheus.ExponentialBuckets(0.001, 4, 8),
			),
			[]string{"route", "method", "status"},
		),
	}
	registry.MustRegister(m.seconds)
	return m
}

func (m *requestMetrics) observe(c *gin.Context) {
	started := time.Now()
	c.Next()
	route := c.FullPath()
	if route == livePath {
		return // a socket's life is not a request's time
	}
	if route == "" {
		route = "other"
	}
	method := c.Request.Method
	if !slices.Contains([]string{"GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"}, method) {
		method = "other"
	}
	m.seconds.WithLabelValues(route, method, strconv.Itoa(c.Writer.Status())).Observe(time.Since(started).Seconds())
}
