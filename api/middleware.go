package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
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

// addRequestInfo is the middleware that adds the request's ID, client and cookies to its context, sets the security
// headers, and logs the response. It uses the client's own X-Request-Id if that is valid.
func (a *API) addRequestInfo(c *gin.Context) {
	id := c.GetHeader("X-Request-Id")
	if !requestIDPattern.MatchString(id) {
		var random [8]byte
		_, _ = rand.Read(random[:])
		id = hex.EncodeToString(random[:])
	}
	info := requestInfo{site: siteOf(c.Request.Context())}
	if cookie, err := c.Request.Cookie(info.cookieName(deviceCookie)); err == nil {
		info.deviceSecret = cookie.Value
	}
	ctx := context.WithValue(problem.WithRequestID(c.Request.Context(), id), requestInfoKey{}, info)
	ctx = auth.WithClient(ctx, auth.Client{Address: c.ClientIP(), UserAgent: c.Request.UserAgent(), RequestID: id})
	c.Request = c.Request.WithContext(ctx)
	c.Writer.Header().Set("X-Request-Id", id)
	setSecurityHeaders(c, info)
	started := time.Now()
	c.Next()
	a.logger.Debug("request", "request_id", id, "method", c.Request.Method, "path", c.Request.URL.Path,
		"status", c.Writer.Status(), "took", time.Since(started))
}

// recoverPanic is the middleware that logs a panic and responds with an internal error. If a part of the response has
// been sent, it closes the connection instead, so that the client does not take that part for the whole.
func (a *API) recoverPanic(c *gin.Context) {
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if err, ok := fault.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(fault) // the handler has logged why
		}
		if err, ok := fault.(error); ok && errors.Is(err, os.ErrDeadlineExceeded) && c.Writer.Written() {
			a.logger.Warn("closed the connection of a client that did not read its response",
				"request_id", problem.RequestID(c.Request.Context()), "path", c.Request.URL.Path)
			panic(http.ErrAbortHandler)
		}
		a.logger.Error("request panicked", "request_id", problem.RequestID(c.Request.Context()),
			"path", c.Request.URL.Path, "panic", fault, "stack", string(debug.Stack()))
		if c.Writer.Written() {
			panic(http.ErrAbortHandler)
		}
		problem.As(nil).Write(c.Writer, c.Request)
		c.Abort()
	}()
	c.Next()
}

// defaultCSP is the Content-Security-Policy of responses that are not pages. A browser that displays one anyway loads
// and runs nothing. The UI sets its own policy.
const defaultCSP = "default-src 'none'; frame-ancestors 'none'"

// setSecurityHeaders sets the headers that restrict what browsers do with the response.
func setSecurityHeaders(c *gin.Context, info requestInfo) {
	header := c.Writer.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", defaultCSP)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	if info.secure {
		header.Set("Strict-Transport-Security", "max-age=31536000")
	}
	if requiresCredential(c.Request.URL.Path) {
		header.Set("Cache-Control", "no-store")
	}
}

// trustProxies makes gin use the X-Forwarded-For header of the trusted proxies only, and no other header: a proxy that
// does not set X-Real-IP forwards the client's.
func (a *API) trustProxies() {
	a.engine.RemoteIPHeaders = []string{forwardedFor}
	proxies := make([]string, len(a.cfg.TrustedProxies))
	for i, p := range a.cfg.TrustedProxies {
		proxies[i] = p.String()
	}
	if err := a.engine.SetTrustedProxies(proxies); err != nil { // only if one is not a prefix
		panic(err)
	}
}

// checkHostAndOrigin is the middleware that refuses requests to addresses that are not the server's, and changes that a
// web page of another origin makes a browser send.
func (a *API) checkHostAndOrigin(c *gin.Context) {
	if p := siteOf(c.Request.Context()).problem; p != nil {
		a.abort(c, p)
		return
	}
	host := c.Request.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	isProbe := c.FullPath() == "/healthz" || c.FullPath() == "/readyz" // containers are probed by address
	allowed := len(a.cfg.AllowedHosts) == 0 || isProbe || fromLocalAgent(c.Request)
	if !allowed && !slices.Contains(a.cfg.AllowedHosts, strings.ToLower(host)) {
		a.abort(c, problem.New(http.StatusMisdirectedRequest, "unknown_host",
			"This host name is not allowed. Add it to the setting --allowed-hosts."))
		return
	}
	if origin, changed := hostChanged(c.Request); changed {
		a.abort(c, problem.New(http.StatusForbidden, "host_changed", fmt.Sprintf(
			"The page is at %.100s, but the request that the server received is for the host %.100s. A proxy must "+
				"pass the host and its port on. See docs/reverse-proxy.md.", origin, c.Request.Host)))
		return
	}
	if err := a.origin.Check(c.Request); err != nil {
		a.abort(c, problem.New(http.StatusForbidden, "cross_origin",
			"Pages of other origins may not send this request."))
	}
}

// hostChanged reports whether a page of the server's own sent the request, and a proxy changed the host. It also
// returns the origin of the page.
func hostChanged(r *http.Request) (origin string, changed bool) {
	origin = r.Header.Get("Origin")
	return origin, origin != "" && r.Header.Get("Sec-Fetch-Site") == "same-origin" && !isOrigin(origin, r.Host)
}

// isOrigin reports whether pages of a host have an origin. The scheme may be either, because an untrusted proxy may
// handle TLS.
func isOrigin(origin, host string) bool {
	return strings.EqualFold(origin, "http://"+host) || strings.EqualFold(origin, "https://"+host)
}

// requestMetrics measures requests by route. Paths would make an unbounded number of series.
type requestMetrics struct {
	seconds *prometheus.HistogramVec
}

func newRequestMetrics(registry prometheus.Registerer) *requestMetrics {
	m := &requestMetrics{
		seconds: prometheus.NewHistogramVec(
			histogram.Options(
				"snapwatch_http_request_seconds",
				"Duration of requests, by route, method and status. "+
					`The status "aborted" is that of responses that began and failed.`,
				prometheus.ExponentialBuckets(0.001, 4, 8),
			),
			[]string{"route", "method", "status"},
		),
	}
	registry.MustRegister(m.seconds)
	return m
}

// observe is the middleware that measures a request.
func (m *requestMetrics) observe(c *gin.Context) {
	started, status := time.Now(), "aborted" // unless the handlers return
	defer func() { m.add(c, status, time.Since(started)) }()
	c.Next()
	status = strconv.Itoa(c.Writer.Status())
}

// add adds a request that has ended.
func (m *requestMetrics) add(c *gin.Context, status string, duration time.Duration) {
	route := c.FullPath()
	if route == livePath {
		return // WebSockets stay open, so their duration says nothing about the server
	}
	if route == "" {
		route = "other"
	}
	method := c.Request.Method
	if !slices.Contains([]string{"GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"}, method) {
		method = "other"
	}
	m.seconds.WithLabelValues(route, method, status).Observe(duration.Seconds())
}
