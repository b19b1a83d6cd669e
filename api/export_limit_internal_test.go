package api

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/snapwatch/snapwatch/internal/problem"
)

// The number of open exports is bounded, of one caller and of all, and refusals are counted.
func TestExportLimit(t *testing.T) {
	t.Parallel()
	limit := newExportLimit(prometheus.NewRegistry())
	var ends []func()
	begin := func(caller string, want int) {
		t.Helper()
		end, err := limit.begin(caller)
		if p, ok := errors.AsType[*problem.Problem](err); ok != (want != 0) || ok && p.Status != want {
			t.Fatalf("an export of %s: %v, want status %d", caller, err, want)
		}
		if end != nil {
			ends = append(ends, end)
		}
	}
	for range maxCallerExports {
		begin("greedy", 0)
	}
	begin("greedy", http.StatusTooManyRequests)
	for i := range maxExports - maxCallerExports {
		begin(fmt.Sprint("caller ", i), 0)
	}
	begin("one more", http.StatusServiceUnavailable)
	ends[0]()
	begin("greedy", 0)
	for _, end := range ends[1:] {
		end()
	}
	if limit.open != 0 || len(limit.callers) != 0 {
		t.Errorf("left over: %d, %v", limit.open, limit.callers)
	}
	for _, reason := range []string{"caller", "total"} {
		if n := testutil.ToFloat64(limit.refused.WithLabelValues(reason)); n != 1 {
			t.Errorf("%s: %v refusals are counted", reason, n)
		}
	}
}
