package api

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/clientaddr"
	"github.com/snapwatch/snapwatch/internal/problem"
)

// enrolOperation is the only operation that agents use before they have a token.
const enrolOperation = "POST /api/v1/enrol"

// authorize is the middleware that authenticates the caller and applies the policy. It refuses operations without a
// rule.
func (a *API) authorize(c *gin.Context) {
	operation := operationOf(c)
	if operation == enrolOperation && !a.hasClientCertificate(c) {
		a.abort(c, certificateRequired())
		return
	}
	if operation == "" && !requiresCredential(c.Request.URL.Path) {
		return
	}
	if a.access.policy.IsPublic(operation) {
		if operation == enrolOperation {
			return // auth.Service.Enrol limits invalid keys, so that a fleet can enrol from one address
		}
		if wait := a.perAddress.Take(clientaddr.Key(c.ClientIP()), a.cfg.Now()); wait > 0 {
			a.abort(c, &auth.RateLimitError{RetryAfter: wait})
		}
		return
	}
	lookUp, cancel := context.WithTimeout(c.Request.Context(), authorizeTimeout)
	defer cancel()
	caller, err := a.authenticate(lookUp, c)
	if err != nil {
		a.abort(c, err)
		return
	}
	if wait := a.perCaller.Take(callerKey(caller), a.cfg.Now()); wait > 0 {
		a.abort(c, &auth.RateLimitError{RetryAfter: wait})
		return
	}
	if operation == "" {
		return // the caller is authenticated, and gets 404 or 405
	}
	if caller.Role == auth.RoleAgent && !a.hasClientCertificate(c) {
		a.abort(c, certificateRequired())
		return
	}
	ctx := auth.WithPrincipal(c.Request.Context(), caller)
	scope := a.access.policy.Scope(operation, caller)
	lookUp = auth.WithPrincipal(lookUp, caller)
	if err := a.access.authorizeMachine(lookUp, caller, scope, c.Param("machine_id")); err != nil {
		a.abort(c, err)
		return
	}
	c.Request = c.Request.WithContext(context.WithValue(ctx, scopeKey{}, scope))
}

// authenticate returns the principal of the request's bearer token or session cookie.
func (a *API) authenticate(ctx context.Context, c *gin.Context) (*auth.Principal, error) {
	if header := c.GetHeader("Authorization"); header != "" {
		scheme, secret, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") || secret == "" {
			return nil, unauthenticated(`The Authorization header must be "Bearer" followed by a token.`)
		}
		return a.access.service.Authenticate(ctx, strings.TrimSpace(secret))
	}
	cookie, err := c.Request.Cookie(requestInfoOf(c.Request.Context()).cookieName(sessionCookie))
	if err != nil {
		return nil, unauthenticated(`Sign in, or send a token in the header "Authorization: Bearer <token>".`)
	}
	if !sameOrigin(c.Request) {
		return nil, problem.New(http.StatusForbidden, "cross_origin",
			"Only snapwatch's own pages may use a session. Programs must use a token.")
	}
	return a.access.service.Authenticate(ctx, cookie.Value)
}

// sameOrigin reports whether a request with a session cookie comes from one of the server's own pages. Browsers send
// Sec-Fetch-Site, or Origin with changes and WebSocket handshakes. Without either header, a request may only read.
func sameOrigin(r *http.Request) bool {
	reads := (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		!strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	switch {
	case origin != "" && !isOrigin(origin, r.Host):
		return false
	case site != "" && site != "same-origin" && site != "none":
		return false
	}
	return reads || origin != "" || site == "same-origin"
}

// hasClientCertificate reports whether a request has the client certificate that agents need. It returns true if the
// server requires none, and for the local agent.
func (a *API) hasClientCertificate(c *gin.Context) bool {
	return !a.cfg.AgentCertificates || fromLocalAgent(c.Request) ||
		c.Request.TLS != nil && len(c.Request.TLS.VerifiedChains) > 0
}

// requiresCredential reports whether a path without a route requires a credential. The UI's pages do not, because the
// sign-in page is one of them.
func requiresCredential(path string) bool {
	return path == "/api" || strings.HasPrefix(path, "/api/") || path == "/metrics" ||
		strings.HasPrefix(path, "/metrics/")
}

// abort ends a request with the problem of an error.
func (a *API) abort(c *gin.Context, err error) {
	err = a.problemOf(c.Request.Context(), err)
	if with, ok := errors.AsType[huma.HeadersError](err); ok {
		for name, values := range with.GetHeaders() {
			c.Header(name, values[0])
		}
	}
	p := problem.As(err)
	if p.Status == http.StatusUnauthorized {
		c.Header("WWW-Authenticate", `Bearer realm="snapwatch"`)
	}
	p.Write(c.Writer, c.Request)
	c.Abort()
}

var parameterPattern = regexp.MustCompile(`:(\w+)`)

// operationOf returns the operation of a request, or "" if no route matches.
func operationOf(c *gin.Context) string {
	if c.FullPath() == "" {
		return ""
	}
	return operationName(c.Request.Method, c.FullPath())
}

// operationName converts a route of gin into the notation of the OpenAPI document and the policy.
func operationName(method, route string) string {
	return method + " " + parameterPattern.ReplaceAllString(route, "{$1}")
}

// Operations returns all routes in the policy's notation, except the UI's pages.
func (a *API) Operations() []string {
	var list []string
	for _, route := range a.engine.Routes() {
		list = append(list, operationName(route.Method, route.Path))
	}
	slices.Sort(list)
	return list
}
