package api

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/problem"
)

// Maximum numbers of open exports, of one caller and of all. Each holds a page in memory until its client has read it.
const (
	maxCallerExports = 4
	maxExports       = 16
)

// exportLimit limits the exports that are open at the same time, in total and by caller.
type exportLimit struct {
	refused *prometheus.CounterVec

	mu      sync.Mutex
	open    int
	callers map[string]int // numbers of their open exports
}

// newExportLimit returns a limit without open exports.
func newExportLimit(registry prometheus.Registerer) *exportLimit {
	l := &exportLimit{
		callers: make(map[string]int),
		refused: prometheus.NewCounterVec(
			prometheus.CounterOpts{
				Name: "snapwatch_http_exports_refused_total",
				Help: "Exports that were refused, because their caller or all callers together had too many.",
			},
			[]string{"limit"},
		),
	}
	for _, limit := range []string{"caller", "total"} {
		l.refused.WithLabelValues(limit)
	}
	open := prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "snapwatch_http_exports_open", Help: "Exports that are open."},
		func() float64 { l.mu.Lock(); defer l.mu.Unlock(); return float64(l.open) },
	)
	registry.MustRegister(l.refused, open)
	return l
}

// begin begins an export of a caller. It returns a function that ends the export, or a problem if there are too many.
func (l *exportLimit) begin(caller string) (end func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.callers[caller] >= maxCallerExports:
		l.refused.WithLabelValues("caller").Inc()
		p := problem.New(http.StatusTooManyRequests, "too_many_exports", fmt.Sprintf(
			"You have %d open exports. Wait until one of them ends before you begin another.", maxCallerExports))
		p.Limit = maxCallerExports
		return nil, p
	case l.open >= maxExports:
		l.refused.WithLabelValues("total").Inc()
		return nil, problem.New(http.StatusServiceUnavailable, "busy", "Too many exports are open. Try again later.")
	}
	l.open++
	l.callers[caller]++
	return func() { l.end(caller) }, nil
}

// end ends an export of a caller.
func (l *exportLimit) end(caller string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.callers[caller]--; l.callers[caller] == 0 {
		delete(l.callers, caller)
	}
}

// limitExports is the middleware that limits open exports.
func (a *API) limitExports(c *gin.Context) {
	if !isExport(c) {
		return
	}
	end, err := a.exports.begin(callerKey(auth.PrincipalOf(c.Request.Context())))
	if err != nil {
		a.abort(c, err)
		return
	}
	defer end()
	c.Next()
}
