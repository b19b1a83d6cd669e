package api

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/problem"
)

// OIDCCallbackPath is the path below the base path to which the identity provider redirects browsers.
const OIDCCallbackPath = "/api/v1/auth/oidc/callback"

// Sign-in through an identity provider consists of redirects of the browser.
const (
	oidcLoginPath = "/api/v1/auth/oidc/login"
	// oidcTimeout is how long a person may take to sign in at the identity provider.
	oidcTimeout = 10 * time.Minute
)

// beginOIDC redirects the browser to the identity provider.
func (a *API) beginOIDC(c *gin.Context) {
	if a.oidc == nil {
		noProvider(c)
		return
	}
	address, request, err := a.oidc.BeginLogin(c.Request.Context())
	if err != nil {
		a.redirectFailedLogin(c, err)
		return
	}
	info, expires := requestInfoOf(c.Request.Context()), a.cfg.Now().Add(oidcTimeout)
	c.Writer.Header().Add("Set-Cookie", info.cookie(oidcCookie, request.Encode(), expires, http.SameSiteLaxMode))
	c.Redirect(http.StatusFound, address)
}

// finishOIDC handles the identity provider's redirect back to the server.
func (a *API) finishOIDC(c *gin.Context) {
	if a.oidc == nil {
		noProvider(c)
		return
	}
	info := requestInfoOf(c.Request.Context())
	var request auth.AuthRequest
	found := false
	if cookie, err := c.Request.Cookie(info.cookieName(oidcCookie)); err == nil {
		request, found = auth.DecodeAuthRequest(cookie.Value)
	}
	header := c.Writer.Header()
	header.Add("Set-Cookie", info.cookie(oidcCookie, "", time.Unix(1, 0), http.SameSiteLaxMode))
	if !found || c.Query("error") != "" {
		a.redirectFailedLogin(c, auth.ErrLoginFailed)
		return
	}
	result, err := a.oidc.FinishLogin(
		c.Request.Context(), request, c.Query("state"), c.Query("code"), info.deviceSecret)
	if err != nil {
		a.redirectFailedLogin(c, err)
		return
	}
	for _, cookie := range info.sessionCookies(result, a.cfg.Now()) {
		header.Add("Set-Cookie", cookie)
	}
	c.Redirect(http.StatusFound, info.basePath+"/")
}

func noProvider(c *gin.Context) {
	problem.New(http.StatusNotFound, "no_provider",
		"No identity provider is configured. Sign in with a password.").Write(c.Writer, c.Request)
}

// redirectFailedLogin redirects the browser to the sign-in page, which shows the reason.
func (a *API) redirectFailedLogin(c *gin.Context, err error) {
	code := "provider_failed"
	if p := knownProblem(err); p != nil {
		code = p.Code
	}
	a.logger.Warn("sign-in through the identity provider failed",
		"request_id", problem.RequestID(c.Request.Context()), "code", code, "err", err)
	c.Redirect(http.StatusFound,
		requestInfoOf(c.Request.Context()).basePath+"/login?failed="+url.QueryEscape(code))
}
