package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// BenchmarkMetricsOfADay reads a day of metrics in minutes, the largest response that the page of charts requests.
func BenchmarkMetricsOfADay(b *testing.B) {
	s := start(b, api.Config{})
	series := snapshottest.NewMachine(1, 3).Series(snapshot.TimeOf(time.Now().Add(-24*time.Hour)), 1440, time.Minute, 5)
	for rest := series.Snapshots; len(rest) > 0; rest = rest[120:] {
		batch := &snapshot.Batch{MachineID: "m", Snapshots: rest[:120]}
		if err := s.store.Write(b.Context(), []*snapshot.Batch{batch})[0].Err; err != nil {
			b.Fatal(err)
		}
	}
	if err := s.store.MaintainOnce(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for b.Loop() {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "/api/v1/machines/m/metrics?since=1d", nil)
		request.Header.Set("Authorization", "Bearer "+s.token)
		s.api.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusOK {
			b.Fatal(recorder.Body)
		}
		b.ReportMetric(float64(recorder.Body.Len()), "bytes")
	}
}
