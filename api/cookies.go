package api

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/snapwatch/snapwatch/auth"
)

// The names of the cookies. Behind TLS they have the prefix __Host-, with which browsers accept them only from this
// host and over TLS.
const (
	sessionCookie = "snapwatch"
	deviceCookie  = "snapwatch-device"
	oidcCookie    = "snapwatch-oidc"
	securePrefix  = "__Host-"
)

// isSecure reports whether the browser uses TLS, to this server or to a trusted proxy.
func (a *API) isSecure(c *gin.Context) bool {
	return c.Request.TLS != nil || a.fromTrustedProxy(c) && c.GetHeader("X-Forwarded-Proto") == "https"
}

// fromTrustedProxy reports whether a trusted proxy forwarded the request.
func (a *API) fromTrustedProxy(c *gin.Context) bool {
	ip, err := netip.ParseAddr(c.RemoteIP())
	return err == nil &&
		slices.ContainsFunc(a.cfg.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(ip.Unmap()) })
}

func (a *API) cookieName(c *gin.Context, name string) string {
	if a.isSecure(c) {
		return securePrefix + name
	}
	return name
}

// requestInfo is what the handlers of sign-in need from a request in addition to its body.
type requestInfo struct {
	secure       bool
	deviceSecret string // of a browser that signed in before, or ""
}

type requestInfoKey struct{}

// requestInfoOf returns the requestInfo that the middleware addRequestInfo stored.
func requestInfoOf(ctx context.Context) requestInfo {
	info, _ := ctx.Value(requestInfoKey{}).(requestInfo)
	return info
}

// cookie returns a Set-Cookie header. An empty value deletes the cookie. SameSite must be Lax for the cookie that the
// redirect from an identity provider, another site, has to send, and Strict for all others.
func (i requestInfo) cookie(name, value string, expires time.Time, site http.SameSite) string {
	if i.secure {
		name = securePrefix + name
	}
	//nolint:gosec // browsers drop a cookie with Secure that is set without TLS
	c := http.Cookie{
		Name:     name,
		Value:    value,
		Path:     "/",
		Expires:  expires,
		HttpOnly: true,
		Secure:   i.secure,
		SameSite: site,
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c.String()
}

// sessionCookies returns the Set-Cookie headers of a new session.
func (i requestInfo) sessionCookies(login *auth.LoginResult, now time.Time) []string {
	return []string{
		i.cookie(sessionCookie, login.Secret, login.ExpiresAt, http.SameSiteStrictMode),
		i.cookie(deviceCookie, login.DeviceSecret, now.AddDate(1, 0, 0), http.SameSiteStrictMode),
	}
}

// deleteSessionCookie returns the Set-Cookie header that deletes the session's cookie.
func (i requestInfo) deleteSessionCookie() []string {
	return []string{i.cookie(sessionCookie, "", time.Unix(1, 0), http.SameSiteStrictMode)}
}
