package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

type localAgentKey struct{}

// LocalAgent returns a handler for an agent on the server's own machine, which connects through a listener of its own
// on loopback. It passes only the requests that agents send. They need a token as elsewhere, but no client certificate
// and no allowed host name: neither the name of the server nor its certificate is for loopback.
func LocalAgent(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !sentByAgents(r) {
			http.NotFound(w, r)
			return
		}
		r = r.Clone(context.WithValue(r.Context(), localAgentKey{}, true))
		r.Header.Del("Cookie") // sessions are for browsers
		next.ServeHTTP(w, r)
	})
}

// sentByAgents reports whether a request is one of those that agents send.
func sentByAgents(r *http.Request) bool {
	machine, ofMachine := strings.CutPrefix(r.URL.Path, "/api/v1/machines/")
	_, action, _ := strings.Cut(machine, "/")
	switch r.Method {
	case http.MethodPost:
		return slices.Contains([]string{"/api/v1/enrol", "/api/v1/machines", "/api/v1/snapshots"}, r.URL.Path) ||
			ofMachine && action == "token"
	case http.MethodGet:
		return r.URL.Path == "/healthz" || ofMachine && action == "config"
	}
	return false
}

// fromLocalAgent reports whether a request passed LocalAgent.
func fromLocalAgent(r *http.Request) bool { return r.Context().Value(localAgentKey{}) != nil }
