package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	runtimepprof "runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// maxProfile is the maximum duration of a profile or a trace.
	maxProfile = 2 * time.Minute
	// maxResponse is the time that a response may take. Package pprof adds the duration of the profile.
	maxResponse = time.Minute
)

const index = `GET /debug/goroutines                      what each goroutine does, as text
GET /debug/pprof/                          list of profiles
GET /debug/pprof/profile?seconds=30        CPU profile
GET /debug/pprof/heap                      memory profile
GET /debug/pprof/trace?seconds=5           trace of the Go runtime
GET /metrics                               metrics of this server
`

// NewServer returns an HTTP server for an admin listener. The server does not serve the command line, which may
// contain secrets.
func NewServer(address Address, token string, metrics prometheus.Gatherer) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, index) })
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/goroutines", dumpGoroutines)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, // some metrics are read from the database
	}))
	var handler http.Handler = mux
	if !address.IsSocket() {
		handler = requireToken(token, mux)
	}
	return &http.Server{
		Handler:           limitDuration(handler),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      maxResponse,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

// dumpGoroutines writes the stacks of all goroutines in the form of a panic.
func dumpGoroutines(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_ = runtimepprof.Lookup("goroutine").WriteTo(w, 2)
}

// limitDuration refuses profiles and traces that take too long.
func limitDuration(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := r.FormValue("seconds"); text != "" {
			seconds, err := strconv.ParseFloat(text, 64)
			if err != nil || !(seconds > 0 && seconds <= maxProfile.Seconds()) {
				http.Error(w, fmt.Sprintf("seconds must be more than 0 and at most %.0f.", maxProfile.Seconds()),
					http.StatusBadRequest)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// requireToken serves requests that have the token.
func requireToken(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		hash := sha256.Sum256([]byte(given))
		if len(token) < MinToken || subtle.ConstantTimeCompare(hash[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "This address requires the token of SNAPWATCH_ADMIN_TOKEN.", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
