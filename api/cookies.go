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

// The cookies, without the prefix that they have behind TLS: browsers then take them
// from this very host and over TLS alone.
const (
	sessionCookie = "snapwatch"
	deviceCookie  = "snapwatch-device"
	oidcCookie    = "snapwatch-oidc"
	securePrefix  = "__Host-"
)

// isSecure reports whether the browser speaks TLS, with us or with a proxy that we trust.
func (a *API) isSecure(c *gin.Context) bool {
	return c.Request.TLS != nil || a.fromProxy(c) && c.GetHeader("X-Forwarded-Proto") == "https"
}

// fromProxy reports whether a trusted proxy passes the request on.
func (a *API) fromProxy(c *gin.Context) bool {
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

// visit is what handlers of log-in need to know of a request besides its body.
type requestInfo struct {
	secure bool
	device string // the secret of a browser that was logged in from before
}

type requestInfoKey struct{}

// visitOf returns the visit that identify has put there.
func requestInfoOf(ctx context.Context) requestInfo {
	v, _ := ctx.Value(requestInfoKey{}).(requestInfo)
	return v
}

// cookie makes one of ours. Lax lets the answer of an identity provider, which comes
// from another site, find its attempt; everything else is strict.
func (v requestInfo) cookie(name, value string, expires time.Time, site http.SameSite) string {
	if v.secure {
		name = securePrefix + name
	}
	//nolint:gosec // Secure is as the browser's connection is: without TLS it would not be kept
	c := http.Cookie{
		Name:     name,
		Value:    value,
		Path:     "/",
		Expires:  expires,
		HttpOnly: true,
		Secure:   v.secure,
		SameSite: site,
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c.String()
}

// begun are the cookies of a session that has begun.
func (v requestInfo) begun(s *auth.LoginResult, now time.Time) []string {
	return []string{
		v.cookie(sessionCookie, s.Secret, s.ExpiresAt, http.SameSiteStrictMode),
		v.cookie(deviceCookie, s.DeviceSecret, now.AddDate(1, 0, 0), http.SameSiteStrictMode),
	}
}

// ended takes the session's cookie away.
func (v requestInfo) ended() []string {
	return []string{v.cookie(sessionCookie, "", time.Unix(1, 0), http.SameSiteStrictMode)}
}
