package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
)

// Look-ups are given up sooner than queries of the history. Exports and live views have no deadline.
func TestTimeLimits(t *testing.T) {
	t.Parallel()
	a := &API{cfg: Config{QueryTimeout: 30 * time.Second}}
	for _, test := range []struct {
		method, path string
		want         time.Duration // 0 for none
	}{
		{http.MethodGet, "/api/v1/users", 15 * time.Second},
		{http.MethodGet, "/api/v1/machines", 45 * time.Second},
		{http.MethodPost, ingestPath, time.Minute},
		{http.MethodGet, "/api/v1/machines/:machine_id/export", 0},
		{http.MethodGet, livePath, 0},
	} {
		engine := gin.New()
		engine.Use(a.limitTime)
		var got time.Duration
		engine.Handle(test.method, test.path, func(c *gin.Context) {
			if deadline, ok := c.Request.Context().Deadline(); ok {
				got = time.Until(deadline)
			}
		})
		engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(test.method, test.path, nil))
		if got > test.want || test.want > 0 && got < test.want-10*time.Second {
			t.Errorf("%s %s: %s, want %s", test.method, test.path, got, test.want)
		}
	}
}
