package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/store/storetest"
)

// testMicroseconds checks that every response has the CPU time of a post, and sums of them, to the microsecond.
func testMicroseconds(t *testing.T, s *testServer) {
	at := storetest.Recent().Add(10 * time.Minute) // the sums of an hour are those of the series
	body := fmt.Sprintf(`{"machine_id": "micros", "snapshots": [
		{"timestamp": %q, "interval_ms": 60000, "processes": [{"pid": 7, "ppid": 0, "name": "micro", "cpu_ms": 0.1}]},
		{"timestamp": %q, "interval_ms": 60000, "processes": [{"pid": 7, "ppid": 0, "name": "micro", "cpu_ms": 0.2},
			{"pid": 8, "ppid": 7, "name": "micro", "cpu_ms": 0.6, "state": "X"}]},
		{"timestamp": %q, "interval_ms": 60000, "processes": [{"pid": 7, "ppid": 0, "name": "micro", "cpu_ms": 2.534},
			{"pid": 9, "ppid": 7, "name": "micro", "cpu_ms": 5, "state": "X"}]}]}`,
		at, at.Add(time.Minute), at.Add(2*time.Minute))
	if got := s.do(http.MethodPost, "/api/v1/snapshots", body); got.status != http.StatusCreated {
		t.Fatal(got.text)
	}
	last := at.Add(2 * time.Minute)
	window := fmt.Sprintf("from=%s&to=%s", at.Add(-time.Minute), last)
	instant := "machines/micros/at?time=" + last.String()
	list := "machines/micros/snapshots?include_processes=true&" + window
	for path, want := range map[string][]string{
		instant:                               {`"cpu_ms":2.534`, `"ended":{"processes":1,"cpu_ms":5`},
		list:                                  {`"cpu_ms":0.1`, `"cpu_ms":2.534`, `"cpu_ms":0.6`},
		"machines/micros/processes?" + window: {`"cpu_ms":2.834`, `"cpu_ms_max":2.534`},
		"machines/micros/processes/history?pid=7&" + window:              {`"cpu_ms":0.1`, `"cpu_ms":2.534`},
		"processes/history?name=micro&resolution=1h&" + window:           {`"cpu_ms":8.434`, `"cpu_ms_max":5`},
		"processes/top?by=name&" + window:                                {`"cpu_ms":8.434`},
		"processes?name=micro&" + window:                                 {`"cpu_ms":2.834`, `"cpu_ms":0.6`},
		"machines/micros/diff?" + fmt.Sprintf("from=%s&to=%s", at, last): {`"cpu_ms":2.734`, `"cpu_ms":0.6`},
		"machines/micros/export?format=csv&" + window:                    {",0.1,", ",2.534,", ",0.6,", ",5,"},
		"machines/micros/export?" + window:                               {`"cpu_ms":2.534`},
	} {
		got := s.get("/api/v1/%s", path)
		for _, text := range want {
			if got.status != http.StatusOK || !strings.Contains(got.text, text) {
				t.Errorf("%s has no %s: %d %s", path, text, got.status, got.text)
			}
		}
	}
}
