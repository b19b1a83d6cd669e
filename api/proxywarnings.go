package api

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/basepath"
)

// proxyWarningInterval is the minimum time between two log entries of the same kind.
const proxyWarningInterval = time.Hour

// proxyWarnings logs signs of a proxy that is not configured as the server expects. Any client can send such requests,
// so each kind of warning is logged at most once in proxyWarningInterval.
type proxyWarnings struct {
	logger  *slog.Logger
	now     func() time.Time
	ignored *prometheus.CounterVec // requests whose headers were ignored, by the scope of the sender's address

	mu   sync.Mutex
	last map[string]time.Time // by kind, which are constants and scopes of addresses
}

func newProxyWarnings(
	logger *slog.Logger, now func() time.Time, registry prometheus.Registerer,
) *proxyWarnings {
	w := &proxyWarnings{logger: logger, now: now, last: make(map[string]time.Time)}
	w.ignored = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "snapwatch_http_ignored_proxy_headers_total",
		Help: "Requests whose proxy headers were ignored, because the sender is not in --trusted-proxies, by the " +
			"scope of " +
			"its address: loopback, private, public or other.",
	}, []string{"scope"})
	for _, scope := range []string{"loopback", "private", "public", "other"} {
		w.ignored.WithLabelValues(scope)
	}
	registry.MustRegister(w.ignored)
	return w
}

func (w *proxyWarnings) log(kind, message string, attributes ...any) {
	w.mu.Lock()
	now := w.now()
	last, found := w.last[kind]
	due := !found || now.Sub(last) >= proxyWarningInterval
	if due {
		w.last[kind] = now
	}
	w.mu.Unlock()
	if due {
		w.logger.Warn(message, attributes...)
	}
}

// warnAboutProxy checks the headers of a request for signs of a proxy that is not configured.
func (a *API) warnAboutProxy(r *http.Request) {
	if !a.fromTrustedProxy(r) {
		if names := proxyHeaders(r.Header); len(names) > 0 {
			scope, address := addressScope(r.RemoteAddr)
			a.proxyWarnings.ignored.WithLabelValues(scope).Inc()
			a.proxyWarnings.log("untrusted "+scope,
				"ignored the proxy headers of a request, because its sender is not a trusted proxy; if this is your "+
					"proxy, add its address to --trusted-proxies",
				"address", address, "headers", strings.Join(names, ", "))
		}
		return
	}
	if names := proxyHeaders(r.Header); len(names) == 1 && names[0] == forwardedRFC {
		a.proxyWarnings.log("forwarded",
			"a trusted proxy sends the header Forwarded, which is not used; configure it to send X-Forwarded-For, "+
				"X-Forwarded-Host and X-Forwarded-Proto", "address", r.RemoteAddr)
	}
	prefix, err := basepath.Parse(lastValue(r.Header, forwardedPrefix))
	if _, below := basepath.Cut(r.URL.Path, prefix); a.cfg.BasePath == "" && prefix != "" && err == nil && below {
		a.proxyWarnings.log("prefix kept",
			"a trusted proxy sends X-Forwarded-Prefix, but the path still begins with it; configure the proxy to "+
				"remove the prefix, or set --base-path", "prefix", prefix, "path", r.URL.Path)
	}
}

// proxyHeaders returns the names of the headers that only proxies set.
func proxyHeaders(header http.Header) []string {
	names := []string{forwardedFor, forwardedHost, forwardedProto, forwardedPrefix, forwardedRFC}
	return slices.DeleteFunc(names, func(name string) bool { return header.Get(name) == "" })
}

// addressScope returns the scope and the text of the address of a connection.
func addressScope(remote string) (scope, address string) {
	peer, err := netip.ParseAddrPort(remote)
	ip := peer.Addr().Unmap()
	switch {
	case err != nil:
		return "other", remote
	case ip.IsLoopback():
		scope = "loopback"
	case ip.IsPrivate(), ip.IsLinkLocalUnicast():
		scope = "private"
	default:
		scope = "public"
	}
	return scope, ip.String()
}
