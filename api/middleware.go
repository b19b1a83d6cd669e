package api

import (
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

	"github.com/snapwatch/snapwatch/metric"
	"github.com/snapwatch/snapwatch/problem"
)

var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// identify gives the request an id, the caller's own if it has a sound one, and
// logs how it ended.
func (a *API) identify(c *gin.Context) {
	id := c.GetHeader("X-Request-Id")
	if !requestIDPattern.MatchString(id) {
		var random [8]byte
		_, _ = rand.Read(random[:])
		id = hex.EncodeToString(random[:])
	}
	c.Request = c.Request.WithContext(problem.WithRequestID(c.Request.Context(), id))
	header := c.Writer.Header()
	header.Set("X-Request-Id", id)
	header.Set("X-Content-Type-Options", "nosniff")
	if c.Request.TLS != nil { // from now on browsers ask no other way
		header.Set("Strict-Transport-Security", "max-age=31536000")
	}
	if strings.HasPrefix(c.Request.URL.Path, "/api/") {
		header.Set("Cache-Control", "no-store")
	}
	started := time.Now()
	c.Next()
	a.logger.Debug("request", "request_id", id, "method", c.Request.Method, "path", c.Request.URL.Path, "status", c.Writer.Status(), "took", time.Since(started))
}

// recover answers a panic with a problem and keeps the server up.
func (a *API) recover(c *gin.Context) {
	defer func() {
		if fault := recover(); fault != nil {
			a.logger.Error("a request panicked", "request_id", problem.RequestID(c.Request.Context()), "path", c.Request.URL.Path, "panic", fault, "stack", string(debug.Stack()))
			if !c.Writer.Written() {
				problem.As(nil).Write(c.Writer, c.Request)
			}
			c.Abort()
		}
	}()
	c.Next()
}

// guard refuses requests that a web page of another origin makes a browser send:
// there is no log-in yet, so a browser on this machine must not be a way in.
func (a *API) guard(c *gin.Context) {
	host := c.Request.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if len(a.cfg.AllowedHosts) > 0 && !slices.Contains(a.cfg.AllowedHosts, strings.ToLower(host)) {
		problem.New(http.StatusMisdirectedRequest, "unknown_host", "This server does not answer to that name; see --allowed-hosts.").Write(c.Writer, c.Request)
		c.Abort()
		return
	}
	if err := a.origin.Check(c.Request); err != nil {
		problem.New(http.StatusForbidden, "cross_origin", "A page of another origin may not do this.").Write(c.Writer, c.Request)
		c.Abort()
	}
}

// requestMetrics counts requests by route, not by path, so that the number of
// series is bounded.
type requestMetrics struct {
	seconds *prometheus.HistogramVec
}

func newRequestMetrics(registry prometheus.Registerer) *requestMetrics {
	m := &requestMetrics{seconds: prometheus.NewHistogramVec(metric.Histogram("snapwatch_http_request_seconds", "Time of a request, by route, method and status.", prometheus.ExponentialBuckets(0.001, 4, 8)), []string{"route", "method", "status"})}
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
