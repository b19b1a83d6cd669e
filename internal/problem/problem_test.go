package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
)

func TestAs(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"internal":  {errors.New("password authentication failed for s3cret"), 500, "internal"},
		"a problem": {fmt.Errorf("queue: %w", problem.New(503, "queue_full", "later")), 503, "queue_full"},
		"malformed": {&snapshot.ValidationError{Code: snapshot.CodeMalformed}, 400, "malformed_json"},
		"conflict":  {&snapshot.ValidationError{Code: snapshot.CodeOutOfOrder}, 409, "out_of_order"},
		"field": {
			fmt.Errorf("check: %w", &snapshot.ValidationError{Code: snapshot.CodeInvalidField, Field: "f"}),
			422, "invalid_field",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := problem.As(test.err)
			if p.Status != test.status || p.Code != test.code || strings.Contains(p.Detail, "s3cret") {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestWrite(t *testing.T) {
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "/", nil)
	request = request.WithContext(problem.WithRequestID(request.Context(), "r-1"))
	invalid := &snapshot.ValidationError{Code: snapshot.CodeTooOld, MachineID: "m", Timestamp: 1, ServerTime: 2}
	problem.FromValidationError(invalid).Write(recorder, request)
	var body map[string]any
	if err := json.Unmarshal(recorder.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"status":      422.0,
		"code":        "timestamp_too_old",
		"request_id":  "r-1",
		"machine_id":  "m",
		"snapshot":    0.0,
		"timestamp":   "1970-01-01T00:00:00.001Z",
		"server_time": "1970-01-01T00:00:00.002Z",
		"title":       "Unprocessable Entity",
	}
	for field, value := range want {
		if body[field] != value {
			t.Errorf("%s is %v, want %v", field, body[field], value)
		}
	}
	if _, there := body["limit"]; there || recorder.Code != 422 ||
		recorder.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v", recorder.Code, body)
	}
}

// A text of the client that is not valid UTF-8 does not hide the rest.
func TestWriteInvalidUTF8(t *testing.T) {
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	problem.New(http.StatusForbidden, "host_changed", "The page is at \xff.").Write(recorder, request)
	var got problem.Problem
	if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil || got.Code != "host_changed" {
		t.Errorf("%s (%v)", recorder.Body, err)
	}
}
