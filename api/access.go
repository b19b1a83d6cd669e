package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/clientaddr"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/store/query"
)

// Access decides, by the policy, who may do what to which machine. Ingest and the
// live view ask it too.
type Access struct {
	policy  auth.Policy
	service *auth.Service
	queries *query.Queries
}

// NewAccess returns what decides by a policy.
func NewAccess(policy auth.Policy, service *auth.Service, queries *query.Queries) *Access {
	return &Access{policy: policy, service: service, queries: queries}
}

type scopeKey struct{}

// scopeOf tells how far the caller's permission for this request goes.
func scopeOf(ctx context.Context) auth.Scope {
	scope, known := ctx.Value(scopeKey{}).(auth.Scope)
	if !known {
		return auth.ScopeNone
	}
	return scope
}

// viewOf says which machines the caller sees.
func viewOf(ctx context.Context) query.View {
	switch scopeOf(ctx) {
	case auth.ScopeAll:
		return query.Everything()
	case auth.ScopeGranted:
		return query.View{Tags: auth.PrincipalOf(ctx).Tags}
	}
	return query.View{}
}

// AuthorizeWrite is nil if the caller may write a machine's snapshots, and else a problem.
func (*Access) AuthorizeWrite(ctx context.Context, machineID string) error {
	switch scopeOf(ctx) {
	case auth.ScopeAll:
		return nil
	case auth.ScopeOwn:
		return checkOwnMachine(auth.PrincipalOf(ctx), machineID)
	}
	return forbidden()
}

// owns is nil if a machine is the one that an agent's token is bound to.
func checkOwnMachine(who *auth.Principal, machineID string) error {
	if who.MachineID == machineID {
		return nil
	}
	return problem.New(http.StatusForbidden, "other_machine", "This token is bound to another machine.")
}

// MayWatch reports whether the caller may, by now, do an action of the live view with
// a machine.
func (a *Access) MayWatch(ctx context.Context, action, machineID string) (bool, error) {
	who, err := a.renew(ctx)
	if who == nil {
		return false, err
	}
	switch a.policy.Scope("LIVE "+action, who) {
	case auth.ScopeAll:
		return true, nil
	case auth.ScopeGranted:
		return a.queries.Sees(ctx, query.View{Tags: who.Tags}, machineID)
	}
	return false, nil
}

// CredentialValid reports whether the caller's credential still counts.
func (a *Access) CredentialValid(ctx context.Context) (bool, error) {
	who, err := a.renew(ctx)
	return who != nil, err
}

// renew returns who the caller is by now, nil if their credential has ended.
func (a *Access) renew(ctx context.Context) (*auth.Principal, error) {
	who := auth.PrincipalOf(ctx)
	if who == nil {
		return nil, nil
	}
	who, err := a.service.Revalidate(ctx, who)
	if errors.Is(err, auth.ErrInvalidCredential) {
		return nil, nil
	}
	return who, err
}

// CallerKey names the caller, for what is counted by caller.
func (*Access) CallerKey(ctx context.Context) string { return callerKey(auth.PrincipalOf(ctx)) }

func callerKey(who *auth.Principal) string {
	if who == nil {
		return ""
	}
	if who.UserID != 0 {
		return "user " + strconv.FormatInt(who.UserID, 10)
	}
	return "token " + strconv.FormatInt(who.TokenID, 10)
}

func forbidden() *problem.Problem {
	return problem.New(http.StatusForbidden, "forbidden", "Your role, or the scope of your token, does not allow this.")
}

func unauthenticated(detail string) *problem.Problem {
	return problem.New(http.StatusUnauthorized, "unauthenticated", detail)
}

var parameterPattern = regexp.MustCompile(`:(\w+)`)

// operationOf names a request as the policy does; "" if no route serves it.
func operationOf(c *gin.Context) string {
	if c.FullPath() == "" {
		return ""
	}
	return operationName(c.Request.Method, c.FullPath())
}

// operationName writes a route of gin's as the OpenAPI document does.
func operationName(method, route string) string {
	return method + " " + parameterPattern.ReplaceAllString(route, "{$1}")
}

// Operations lists every route that is served, as the policy names them; the UI's pages
// are none.
func (a *API) Operations() []string {
	var list []string
	for _, route := range a.engine.Routes() {
		list = append(list, operationName(route.Method, route.Path))
	}
	slices.Sort(list)
	return list
}

// authorize finds out who makes a request, and whether they may. What no rule allows
// is refused.
func (a *API) authorize(c *gin.Context) {
	operation := operationOf(c)
	if operation == enrolOperation && !a.hasClientCertificate(c) {
		a.abort(c, errNoCertificate())
		return
	}
	if operation == "" && !requiresCredential(c.Request.URL.Path) {
		return
	}
	if a.access.policy.IsPublic(operation) {
		if wait := a.perAddress.Take(clientaddr.Key(c.ClientIP()), a.cfg.Now()); wait > 0 {
			a.abort(c, &auth.RateLimitError{RetryAfter: wait})
		}
		return
	}
	who, err := a.authenticate(c)
	if err != nil {
		a.abort(c, err)
		return
	}
	if wait := a.perCaller.Take(callerKey(who), a.cfg.Now()); wait > 0 {
		a.abort(c, &auth.RateLimitError{RetryAfter: wait})
		return
	}
	if operation == "" {
		return // somebody whom we know is told that there is nothing
	}
	if who.Role == auth.RoleAgent && !a.hasClientCertificate(c) {
		a.abort(c, errNoCertificate())
		return
	}
	ctx := auth.WithPrincipal(c.Request.Context(), who)
	scope := a.access.policy.Scope(operation, who)
	if err := a.authorizeMachine(ctx, who, scope, c.Param("machine_id")); err != nil {
		a.abort(c, err)
		return
	}
	c.Request = c.Request.WithContext(context.WithValue(ctx, scopeKey{}, scope))
}

// enrolOperation is what agents do before they have a token.
const enrolOperation = "POST /api/v1/enrol"

// certified reports whether a request has the client certificate that agents need, if
// they need one.
func (a *API) hasClientCertificate(c *gin.Context) bool {
	return !a.cfg.AgentCertificates || c.Request.TLS != nil && len(c.Request.TLS.VerifiedChains) > 0
}

func errNoCertificate() *problem.Problem {
	return problem.New(
		http.StatusForbidden, "certificate_needed", "Agents must show a client certificate here (--agent-ca).",
	)
}

// guarded tells of paths without a route whether strangers get an answer: the UI's
// pages are for all, or nobody could log in.
func requiresCredential(path string) bool {
	return path == "/api" || strings.HasPrefix(path, "/api/") || path == "/metrics" ||
		strings.HasPrefix(path, "/metrics/")
}

// reaches tells whether a scope goes as far as the machine in a request's path, if
// there is one.
func (a *API) authorizeMachine(ctx context.Context, who *auth.Principal, scope auth.Scope, machineID string) error {
	switch {
	case scope == auth.ScopeNone:
		return forbidden()
	case machineID == "" || scope == auth.ScopeAll:
		return nil
	case scope == auth.ScopeOwn:
		return checkOwnMachine(who, machineID)
	}
	sees, err := a.access.queries.Sees(ctx, query.View{Tags: who.Tags}, machineID)
	if err != nil {
		return err
	}
	if !sees { // as if there were none: its id is not theirs to know
		return noMachine()
	}
	return nil
}

// authenticate reads a request's credential: a bearer token or, of a browser, the
// session's cookie.
func (a *API) authenticate(c *gin.Context) (*auth.Principal, error) {
	if header := c.GetHeader("Authorization"); header != "" {
		scheme, secret, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") || secret == "" {
			return nil, unauthenticated("The Authorization header must be: Bearer, and a token.")
		}
		return a.access.service.Authenticate(c.Request.Context(), strings.TrimSpace(secret))
	}
	cookie, err := c.Request.Cookie(a.cookieName(c, sessionCookie))
	if err != nil {
		return nil, unauthenticated("Log in, or send a token: Authorization: Bearer …")
	}
	if !a.sameOrigin(c.Request) {
		return nil, problem.New(
			http.StatusForbidden, "cross_origin",
			"A session may only be used by snapwatch's own pages; programs use tokens.",
		)
	}
	return a.access.service.Authenticate(c.Request.Context(), cookie.Value)
}

// sameOrigin tells of a request with a session's cookie whether one of our own pages
// makes it. Browsers say so with Sec-Fetch-Site or, of what changes something and of
// sockets, with Origin; what says neither may only read.
func (a *API) sameOrigin(r *http.Request) bool {
	reads := (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		!strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	site, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	switch {
	case origin != "" && origin != "http://"+r.Host && origin != "https://"+r.Host:
		return false
	case site != "" && site != "same-origin" && site != "none":
		return false
	}
	return reads || origin != "" || site == "same-origin"
}

// refuse answers with a problem, and ends the request.
func (a *API) abort(c *gin.Context, err error) {
	err = a.fail(c.Request.Context(), err)
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

// tooMany is a refusal that tells, in a header too, how long to wait.
func tooMany(e *auth.RateLimitError) error {
	p := problem.New(
		http.StatusTooManyRequests, "too_many_requests",
		"Too many requests; wait "+max(e.RetryAfter, time.Second).Round(time.Second).String()+".",
	)
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds())))}})
}
