// Package health runs the checks of a server, and keeps their last results, so that a readiness check answers at once.
package health

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Severity says what a failing check means for the server.
type Severity int

const (
	// Warning means that something needs attention, while the server does its work.
	Warning Severity = iota
	// Failure means that the server cannot do its work, so it is not ready.
	Failure
)

// Finding is an error of a check with a severity other than that of the check.
type Finding struct {
	Severity Severity
	Reason   string
}

// Error returns the reason.
func (f *Finding) Error() string { return f.Reason }

// Check is one check.
type Check struct {
	// Name is a short name, such as "database".
	Name string
	// Severity is that of its errors.
	Severity Severity
	// Run returns an error for people if the check fails.
	Run func(ctx context.Context) error
}

// Result is the last result of a check.
type Result struct {
	Name     string
	Severity Severity
	// Reason says why the check failed, "" if it passed.
	Reason string
	// Since is the time of the first of the successive results with this outcome.
	Since time.Time
}

const (
	// timeout is the time that a check has.
	timeout = 3 * time.Second
	// interval is the time between two runs of all checks.
	interval = 2 * time.Second
)

// Checker runs checks. It is safe for concurrent use.
type Checker struct {
	checks []Check
	logger *slog.Logger
	failed *prometheus.GaugeVec
	first  chan struct{} // closed after the first run

	mu      sync.Mutex
	results []Result
	checked []bool // checks that have a result
	running []bool // checks that have not returned yet
}

// New returns a Checker and registers its metric. Until a check has run, its result is a failure.
func New(checks []Check, logger *slog.Logger, registry prometheus.Registerer) *Checker {
	c := &Checker{
		checks:  checks,
		logger:  logger,
		results: make([]Result, len(checks)),
		checked: make([]bool, len(checks)),
		running: make([]bool, len(checks)),
		first:   make(chan struct{}),
		failed: prometheus.NewGaugeVec(
			prometheus.GaugeOpts{
				Name: "snapwatch_health_check_failed",
				Help: "State of a check of /readyz: 0 passes, 1 warning, 2 not ready.",
			},
			[]string{"check"},
		),
	}
	registry.MustRegister(c.failed)
	for i := range checks {
		c.results[i] = Result{
			Name: checks[i].Name, Severity: checks[i].Severity, Reason: "not checked yet", Since: time.Now(),
		}
		c.failed.WithLabelValues(checks[i].Name).Set(0)
	}
	return c
}

// Run runs all checks every two seconds until ctx is done. A check that does not return in time fails, and does not
// delay the others.
func (c *Checker) Run(ctx context.Context) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for first := true; ; first = false {
		c.runOnce(ctx)
		if first {
			close(c.first)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// runOnce runs the checks that are not running, and waits until they have returned or their time is up.
func (c *Checker) runOnce(ctx context.Context) {
	deadline, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var waiting sync.WaitGroup
	for i := range c.checks {
		if !c.begin(i) { // it does not keep its deadline
			c.set(i, errNoAnswer())
			continue
		}
		done := make(chan error, 1)
		go func() {
			done <- c.checks[i].Run(deadline)
			c.end(i)
		}()
		waiting.Go(func() {
			select {
			case err := <-done:
				if ctx.Err() == nil {
					c.set(i, err)
				}
			case <-deadline.Done():
				if ctx.Err() == nil {
					c.set(i, errNoAnswer())
				}
			}
		})
	}
	waiting.Wait()
}

func errNoAnswer() error { return fmt.Errorf("no answer within %s", timeout) }

func (c *Checker) begin(i int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[i] {
		return false
	}
	c.running[i] = true
	return true
}

func (c *Checker) end(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[i] = false
}

// set records the result of a check, and logs it if the outcome has changed.
func (c *Checker) set(i int, err error) {
	result := Result{Name: c.checks[i].Name, Severity: c.checks[i].Severity, Since: time.Now()}
	level := 0.0
	if err != nil {
		result.Reason = err.Error()
		if finding, ok := err.(*Finding); ok { //nolint:errorlint // a check returns it as it is
			result.Severity = finding.Severity
		}
		level = float64(1 + result.Severity)
	}
	c.mu.Lock()
	before := c.results[i]
	first := !c.checked[i]
	c.checked[i] = true
	same := before.Severity == result.Severity && (before.Reason == "") == (result.Reason == "")
	if same {
		result.Since = before.Since
	}
	c.results[i] = result
	c.mu.Unlock()
	c.failed.WithLabelValues(result.Name).Set(level)
	switch {
	case same && !first, first && result.Reason == "":
	case result.Reason == "":
		c.logger.Info("a health check passes", "check", result.Name)
	default:
		c.logger.Warn("a health check fails", "check", result.Name, "reason", result.Reason)
	}
}

// WaitForFirst waits until all checks have run once, or their time is up.
func (c *Checker) WaitForFirst(ctx context.Context) {
	select {
	case <-c.first:
	case <-ctx.Done():
	}
}

// Results returns the last results, in the order of the checks.
func (c *Checker) Results() []Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Result(nil), c.results...)
}
