package health_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/snapwatch/snapwatch/internal/health"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/internal/testwait"
)

// A check that hangs fails by itself, and the results of the others stay current.
func TestResults(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var broken atomic.Bool
	registry := prometheus.NewRegistry()
	checker := health.New([]health.Check{
		{Name: "hangs", Severity: health.Failure, Run: func(context.Context) error { <-release; return nil }},
		{Name: "breaks", Severity: health.Failure, Run: func(context.Context) error {
			if broken.Load() {
				return errors.New("it is broken")
			}
			return nil
		}},
		{Name: "warns", Severity: health.Failure, Run: func(context.Context) error {
			return &health.Finding{Severity: health.Warning, Reason: "soon"}
		}},
	}, testlog.Logger(), registry)
	for _, result := range checker.Results() {
		if result.Reason == "" {
			t.Errorf("%s passes before it has run", result.Name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { checker.Run(ctx); close(done) }()
	result := func(i int) health.Result { return checker.Results()[i] }
	testwait.Until(t, "the first results", func() bool {
		return result(0).Reason == "no answer within 3s" && result(1).Reason == ""
	})
	if warning := result(2); warning.Severity != health.Warning || warning.Reason != "soon" {
		t.Errorf("%+v", warning)
	}
	broken.Store(true)
	testwait.Until(t, "a failure", func() bool { return result(1).Reason == "it is broken" })
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
		# HELP snapwatch_health_check_failed State of a check of /readyz: 0 passes, 1 warning, 2 not ready.
		# TYPE snapwatch_health_check_failed gauge
		snapwatch_health_check_failed{check="breaks"} 2
		snapwatch_health_check_failed{check="hangs"} 2
		snapwatch_health_check_failed{check="warns"} 1
	`)); err != nil {
		t.Error(err)
	}
	broken.Store(false)
	close(release)
	testwait.Until(t, "both to pass", func() bool { return result(0).Reason == "" && result(1).Reason == "" })
	cancel()
	<-done
}
