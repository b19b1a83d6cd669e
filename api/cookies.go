package api

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/snapwatch/snapwatch/auth"
)

// The names of the cookies. Behind TLS they have a prefix. With __Host-, browsers accept them only from this host, over
// TLS and for all its paths. Below a base path, other applications on the host must not get them, so the prefix is
// __Secure-, with which browsers accept them only over TLS.
const (
	sessionCookie = "snapwatch"
	deviceCookie  = "snapwatch-device"
	oidcCookie    = "snapwatch-oidc"
	hostPrefix    = "__Host-"
	securePrefix  = "__Secure-"
)

// requestInfo is what the handlers of sign-in need from a request in addition to its body.
type requestInfo struct {
	site
	deviceSecret string // of a browser that signed in before, or ""
}

type requestInfoKey struct{}

// requestInfoOf returns the requestInfo that the middleware addRequestInfo stored.
func requestInfoOf(ctx context.Context) requestInfo {
	info, _ := ctx.Value(requestInfoKey{}).(requestInfo)
	return info
}

// cookieName returns the name of a cookie with its prefix.
func (s site) cookieName(name string) string {
	switch {
	case !s.secure:
		return name
	case s.basePath == "":
		return hostPrefix + name
	default:
		return securePrefix + name
	}
}

// cookie returns a Set-Cookie header. An empty value deletes the cookie. SameSite must be Lax for the cookie that the
// redirect from an identity provider, another site, has to send, and Strict for all others.
func (i requestInfo) cookie(name, value string, expires time.Time, site http.SameSite) string {
	//nolint:gosec // browsers drop a cookie with Secure that is set without TLS
	c := http.Cookie{
		Name:     i.cookieName(name),
		Value:    value,
		Path:     cmp.Or(i.basePath, "/"),
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
