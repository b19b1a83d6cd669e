package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/snapwatch/snapwatch/internal/testlog"
)

// A response that fails after it began does not look complete, and is not counted as a success.
func TestPanicEndsTheResponse(t *testing.T) {
	for _, one := range []struct {
		name    string
		started bool
		fault   any
		status  string
	}{
		{"before the response", false, errors.New("a bug"), "500"},
		{"within the response", true, errors.New("a bug"), "aborted"},
		{"an export that failed", true, http.ErrAbortHandler, "aborted"},
	} {
		t.Run(one.name, func(t *testing.T) {
			a := &API{logger: testlog.Logger()}
			metrics := newRequestMetrics(prometheus.NewRegistry())
			engine := gin.New()
			engine.Use(metrics.observe, a.recoverPanic)
			engine.GET("/", func(c *gin.Context) {
				if one.started {
					_, _ = fmt.Fprint(c.Writer, strings.Repeat("a line\n", 10_000))
					c.Writer.Flush()
				}
				panic(one.fault)
			})
			server := httptest.NewServer(gzhttp.GzipHandler(engine))
			defer server.Close()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			_, err = io.ReadAll(response.Body)
			if one.started != errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the body ends with %v", err)
			}
			if !one.started && response.StatusCode != http.StatusInternalServerError {
				t.Errorf("status %d", response.StatusCode)
			}
			server.Close()
			count := testutil.CollectAndCount(metrics.seconds.MustCurryWith(
				prometheus.Labels{"route": "/", "method": "GET"},
			).(*prometheus.HistogramVec))
			if _, err := metrics.seconds.GetMetricWithLabelValues("/", "GET", one.status); err != nil || count != 1 {
				t.Fatalf("%d series, %v", count, err)
			}
			if count := testutil.CollectAndCount(metrics.seconds); count != 1 {
				t.Errorf("the status of the metric is not %q", one.status)
			}
		})
	}
}
