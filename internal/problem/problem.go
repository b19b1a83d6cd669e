// Package problem holds the one shape of every error answer: RFC 9457 problem
// details, with a code for programs, the field and limit at fault, and the id of
// the request, which the server's log carries too.
package problem

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Problem is an error answer. It is an error, and huma can write it.
type Problem struct {
	Type      string   `json:"type" doc:"Always about:blank: the status and the code say it all" example:"about:blank"`
	Title     string   `json:"title" doc:"The status in words" example:"Unprocessable Entity"`
	Status    int      `json:"status" example:"422"`
	Detail    string   `json:"detail" doc:"What is wrong, for people"`
	Code      string   `json:"code" doc:"What is wrong, for programs" example:"invalid_field"`
	RequestID string   `json:"request_id,omitempty" doc:"Names this request in the server's log"`
	Errors    []Detail `json:"errors,omitempty" nullable:"false" doc:"Each fault, where there may be several"`

	MachineID  string        `json:"machine_id,omitempty" doc:"Of a post: the machine"`
	Snapshot   *int          `json:"snapshot,omitempty" doc:"Of a post: the index of the snapshot at fault; nothing of the post is stored"`
	Field      string        `json:"field,omitempty" doc:"The field at fault" example:"snapshots[0].processes[3].pid"`
	Limit      int64         `json:"limit,omitzero" doc:"The limit that is passed"`
	Timestamp  snapshot.Time `json:"timestamp,omitzero" format:"date-time" required:"false" doc:"The snapshot's clock, where the fault lies in it"`
	ServerTime snapshot.Time `json:"server_time,omitzero" format:"date-time" required:"false" doc:"The server's clock, likewise"`
}

// Detail is one fault among several.
type Detail struct {
	Field   string `json:"field" doc:"Where, for example body.polling_interval"`
	Message string `json:"message" doc:"What is wrong there"`
}

// New returns a problem with the status's own title.
func New(status int, code, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// FromValidationError describes what is wrong with a batch.
func FromValidationError(fault *snapshot.ValidationError) *Problem {
	status := http.StatusUnprocessableEntity
	switch fault.Code {
	case snapshot.CodeMalformed:
		status = http.StatusBadRequest
	case snapshot.CodeFullNeeded, snapshot.CodeOutOfOrder:
		status = http.StatusConflict
	case snapshot.CodeTooMany:
		status = http.StatusRequestEntityTooLarge
	}
	p := New(status, string(fault.Code), fault.Error())
	p.MachineID, p.Field, p.Timestamp, p.ServerTime, p.Limit = fault.MachineID, fault.Field, fault.Timestamp, fault.ServerTime, fault.Limit
	if fault.SnapshotIndex >= 0 {
		p.Snapshot = &fault.SnapshotIndex
	}
	return p
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status, for huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the media type of problem details, for huma.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// Write answers a request with the problem.
func (p *Problem) Write(w http.ResponseWriter, r *http.Request) {
	p.RequestID = RequestID(r.Context())
	body, err := json.Marshal(p)
	if err != nil { // it has only texts and numbers
		body = []byte(`{"status":500}`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}

// As returns err as a problem: itself, a fault's, or one of the server's that
// says nothing of the cause, which belongs into the log.
func As(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if fault, ok := errors.AsType[*snapshot.ValidationError](err); ok {
		return FromValidationError(fault)
	}
	return New(
		http.StatusInternalServerError, "internal",
		"The server failed; its log has the reason under the request's id.",
	)
}

type requestIDKey struct{}

// WithRequestID puts a request's id into its context.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id that WithRequestID put there, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
