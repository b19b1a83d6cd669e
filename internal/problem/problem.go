// Package problem defines the form of every error response: problem details (RFC 9457) with a code for programs,
// the invalid field, the exceeded limit, and the id of the request, which is also in the server's log.
package problem

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Problem is an error response. It implements error and huma.StatusError.
type Problem struct {
	Type      string   `json:"type" doc:"Always about:blank" example:"about:blank"`
	Title     string   `json:"title" doc:"Text of the status" example:"Unprocessable Entity"`
	Status    int      `json:"status" doc:"HTTP status" example:"422"`
	Detail    string   `json:"detail" doc:"What is wrong, for people"`
	Code      string   `json:"code" doc:"What is wrong, for programs" example:"invalid_field"`
	RequestID string   `json:"request_id,omitempty" doc:"Id of the request, which is also in the server's log"`
	Errors    []Detail `json:"errors,omitempty" nullable:"false" doc:"All errors, if there may be several"`

	// Fields of a rejected post. They are also set for other requests if they apply.

	MachineID string `json:"machine_id,omitempty" doc:"Posts: the machine"`
	Snapshot  *int   `json:"snapshot,omitempty" doc:"Posts: index of the invalid snapshot. Nothing is stored"`
	Field     string `json:"field,omitempty" doc:"The invalid field" example:"snapshots[0].processes[3].pid"`
	Limit     int64  `json:"limit,omitzero" doc:"The exceeded limit"`
	// Timestamp and ServerTime are set if the timestamp of a snapshot is too old or too far in the future.
	Timestamp  snapshot.Time `json:"timestamp,omitzero" format:"date-time" required:"false" doc:"The snapshot's time"`
	ServerTime snapshot.Time `json:"server_time,omitzero" format:"date-time" required:"false" doc:"The server's clock"`
}

// Detail is one of several errors of a request.
type Detail struct {
	Field   string `json:"field" doc:"The invalid field, for example body.polling_interval"`
	Message string `json:"message" doc:"What is wrong with the field"`
}

// New returns a problem with the standard text of the status as its title.
func New(status int, code, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// FromValidationError returns the problem for a rejected batch.
func FromValidationError(invalid *snapshot.ValidationError) *Problem {
	status := http.StatusUnprocessableEntity
	switch invalid.Code {
	case snapshot.CodeMalformed:
		status = http.StatusBadRequest
	case snapshot.CodeFullNeeded, snapshot.CodeOutOfOrder:
		status = http.StatusConflict
	case snapshot.CodeTooMany:
		status = http.StatusRequestEntityTooLarge
	}
	p := New(status, string(invalid.Code), invalid.Error())
	p.MachineID, p.Field, p.Limit = invalid.MachineID, invalid.Field, invalid.Limit
	p.Timestamp, p.ServerTime = invalid.Timestamp, invalid.ServerTime
	if invalid.SnapshotIndex >= 0 {
		p.Snapshot = &invalid.SnapshotIndex
	}
	return p
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status, for huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the media type of problem details, for huma.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// Write writes the problem as the response to a request.
func (p *Problem) Write(w http.ResponseWriter, r *http.Request) {
	p.RequestID = RequestID(r.Context())
	// Texts can contain what the client has sent.
	body, err := json.Marshal(p, jsontext.AllowInvalidUTF8(true))
	if err != nil { // cannot happen: it only has texts and numbers
		body = []byte(`{"status":500}`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}

// As converts an error to a problem. It returns the *Problem that err wraps, or the problem of the
// *snapshot.ValidationError that err wraps. For any other error it returns a 500 without the cause, which
// belongs in the log.
func As(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if invalid, ok := errors.AsType[*snapshot.ValidationError](err); ok {
		return FromValidationError(invalid)
	}
	return New(
		http.StatusInternalServerError, "internal",
		"Something went wrong on the server. Search its log for the request_id of this response.",
	)
}

type requestIDKey struct{}

// WithRequestID returns a context with the id of a request.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id that WithRequestID stored in ctx, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
