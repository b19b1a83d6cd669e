package api_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/snapshot"
)

func testStorageAndRetention(t *testing.T, s *testServer) {
	s.postHistory("storage")
	for hour := range 25 { // a forecast needs a day of data
		s.postSnapshots("storage-day", recentTime().Add(time.Duration(hour-25)*time.Hour), 1)
	}
	st := decode[struct {
		Profile        string
		Bytes          int64
		Relations      []struct{ Relation string }
		ProcessSamples int64    `json:"process_samples"`
		BudgetDays     *float64 `json:"budget_days"`
		Retention      struct {
			RawDays int `json:"raw_days"`
		}
	}](t, s.do(http.MethodGet, "/api/v1/storage", ""))
	if st.Profile != s.store.Profile().Profile || st.Bytes == 0 || len(st.Relations) != 19 ||
		st.ProcessSamples < 60*15 || st.Retention.RawDays != 30 || st.BudgetDays != nil {
		t.Errorf("%+v", st)
	}
	patch := func(body string) response { return s.do(http.MethodPatch, "/api/v1/storage/retention", body) }
	if got := patch(`{"raw_days": 7, "budget_bytes": 1000000000}`); got.status != 200 {
		t.Fatal(got.text)
	}
	with := decode[struct {
		BudgetDays *float64 `json:"budget_days"`
	}](t, s.do(http.MethodGet, "/api/v1/storage", ""))
	if with.BudgetDays == nil || *with.BudgetDays <= 0 {
		t.Errorf("%v days fit into a gigabyte", with.BudgetDays)
	}
	for body, field := range map[string]string{
		`{"raw_days": 0}`:      "raw_days",
		`{"raw_days": 500}`:    "minute_days",
		`{"hour_days": 8}`:     "hour_days",
		`{"exits_days": 8}`:    "exits_days",
		`{"budget_bytes": -1}`: "budget_bytes",
		`{"days": 3}`:          "days",
	} {
		got := patch(body)
		if p := got.problem(t); got.status != 422 || p.Field != field {
			t.Errorf("%s: %d %q", body, got.status, p.Field)
		}
	}
	// A snapshot that is older than the new retention is refused.
	old := fmt.Sprintf(
		`{"machine_id": "storage", "snapshots": [{"timestamp": %q}]}`,
		snapshot.TimeOf(time.Now().Add(-8*24*time.Hour)),
	)
	if got := s.do(http.MethodPost, "/api/v1/snapshots", old); got.problem(t).Code != "timestamp_too_old" {
		t.Errorf("%d %s", got.status, got.text)
	}
}

// TestStorageForecast checks that nothing is estimated from less than a day of data, and that the oldest data is the
// first snapshot.
func TestStorageForecast(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	if got := s.do(http.MethodPatch, "/api/v1/storage/retention", `{"budget_bytes": 1000000000}`); got.status != 200 {
		t.Fatal(got.text)
	}
	check := func(what string, first snapshot.Time, forecast bool) {
		t.Helper()
		st := decode[api.StorageView](t, s.get("/api/v1/storage"))
		if st.Oldest == nil || *st.Oldest != first || (st.BytesPerDay != nil) != forecast ||
			(st.BudgetDays != nil) != forecast {
			t.Errorf("%s: %+v", what, st)
		}
	}
	late, early := recentTime(), recentTime().Add(-25*time.Hour)
	s.postSnapshots("late", late, 2)
	check("ten minutes", late, false)
	s.postSnapshots("early", early, 2)
	check("ten minutes, and two snapshots of yesterday", early, false)
	for hour := range 24 {
		s.postSnapshots("early", early.Add(time.Duration(hour+1)*time.Hour), 1)
	}
	check("25 hours", early, true)
}
