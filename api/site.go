package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/snapwatch/snapwatch/internal/basepath"
	"github.com/snapwatch/snapwatch/internal/problem"
)

// The headers by which proxies describe the request that they received. The header Forwarded of RFC 7239 is not used:
// most proxies neither set nor remove it, so it may come from anyone.
const (
	forwardedFor    = "X-Forwarded-For"
	forwardedHost   = "X-Forwarded-Host"
	forwardedProto  = "X-Forwarded-Proto"
	forwardedPrefix = "X-Forwarded-Prefix"
	forwardedRFC    = "Forwarded"
)

// site is the address of the server as the client of a request uses it. Its host is in the request.
type site struct {
	secure   bool             // the client uses TLS, to this server or to a trusted proxy
	basePath string           // the path below which the server is, or ""
	problem  *problem.Problem // why the address is not one of this server, or nil
}

type siteKey struct{}

// siteOf returns the site that resolveSite stored.
func siteOf(ctx context.Context) site {
	s, _ := ctx.Value(siteKey{}).(site)
	return s
}

// resolveSite returns a handler that determines the site of a request. The next handler gets the request with the host
// that the client uses, and with the path below the base path.
func (a *API) resolveSite(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, host, path := a.siteOfRequest(r)
		a.warnAboutProxy(r)
		ctx := basepath.With(context.WithValue(r.Context(), siteKey{}, s), s.basePath)
		r = r.WithContext(ctx)
		r.Host = host
		if path != r.URL.Path {
			address := *r.URL
			address.Path = path
			address.RawPath = strings.TrimPrefix(address.RawPath, a.cfg.BasePath)
			r.URL = &address
		}
		next.ServeHTTP(w, r)
	})
}

var hostPattern = regexp.MustCompile(`^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?$`)

// siteOfRequest returns the site of a request, the host that the client uses, and the path below the base path.
func (a *API) siteOfRequest(r *http.Request) (s site, host, path string) {
	s = site{secure: r.TLS != nil, basePath: a.cfg.BasePath}
	host, path = r.Host, r.URL.Path
	prefix := ""
	if a.fromTrustedProxy(r) {
		if forwarded := lastValue(r.Header, forwardedHost); hostPattern.MatchString(forwarded) {
			host = forwarded
		} else if forwarded != "" {
			s.problem = invalidForwarded(forwardedHost)
		}
		switch strings.ToLower(lastValue(r.Header, forwardedProto)) {
		case "https", "wss": // Traefik sends wss for WebSockets
			s.secure = true
		case "http", "ws", "":
		default:
			s.problem = invalidForwarded(forwardedProto)
		}
		var err error
		if prefix, err = basepath.Parse(lastValue(r.Header, forwardedPrefix)); err != nil {
			s.problem = invalidForwarded(forwardedPrefix)
		}
	}
	rest, below := basepath.Cut(path, a.cfg.BasePath)
	switch {
	case below:
		path = rest
		if prefix != a.cfg.BasePath {
			s.basePath = prefix + a.cfg.BasePath
		}
	case prefix == a.cfg.BasePath: // the proxy has removed the base path
	case slices.Contains(probes, path):
	case s.problem == nil:
		s.problem = problem.New(http.StatusNotFound, "outside_base_path", fmt.Sprintf(
			"This server is below %s (--base-path), and the path of this request is not. If a proxy removes %[1]s, "+
				"configure it to keep it.", a.cfg.BasePath))
	}
	return s, withoutDefaultPort(strings.ToLower(host), s.secure), path // browsers send lower case
}

// probes are the paths that the server also serves outside its base path, for health checks of containers and for
// Prometheus, which do not go through the proxy.
var probes = []string{"/healthz", "/readyz", "/metrics", "/metrics/machines"}

func invalidForwarded(header string) *problem.Problem {
	p := problem.New(http.StatusBadRequest, "invalid_proxy_header",
		"The proxy sent an invalid header "+header+". See docs/reverse-proxy.md.")
	p.Field = header
	return p
}

// lastValue returns the last element of a header that is a list. That is the one of the nearest proxy. Elements before
// it may come from the client, because some proxies append to what they receive.
func lastValue(header http.Header, name string) string {
	lines := header.Values(name)
	if len(lines) == 0 {
		return ""
	}
	list := lines[len(lines)-1]
	return strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:])
}

// withoutDefaultPort removes the port that browsers leave out of an origin.
func withoutDefaultPort(host string, secure bool) string {
	if secure {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// fromTrustedProxy reports whether a trusted proxy sent the request.
func (a *API) fromTrustedProxy(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && slices.ContainsFunc(a.cfg.TrustedProxies, func(p netip.Prefix) bool {
		return p.Contains(peer.Addr().Unmap().WithZone(""))
	})
}
