package api

import (
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// maxSmallBody is the maximum size of request bodies, except of snapshots.
const maxSmallBody = 64 << 10

// bodyReadTimeout is how long a client may take to send a body. The connection keeps this deadline while the request is
// handled, and net/http cancels the request when it passes. So it must be longer than any request takes.
const bodyReadTimeout = time.Minute

// The tags that group operations in the OpenAPI document.
const (
	tagMachines  = "machines"
	tagSnapshots = "snapshots"
	tagHistory   = "history"
	tagLive      = "live"
	tagStorage   = "storage"
	tagSignIn    = "sign-in"
	tagMe        = "me"
	tagAccounts  = "accounts"
	tagEnrolment = "enrolment"
	tagMetrics   = "metrics"
	tagHealth    = "health"
)

// response is a response with a body and no headers.
type response[T any] struct{ Body T }

// operation returns the description of an operation. It responds with status 200 unless an option sets another one.
func operation(method, path, id, tag, summary string, options ...func(*huma.Operation)) huma.Operation {
	op := huma.Operation{
		OperationID:     id,
		Method:          method,
		Path:            path,
		Tags:            []string{tag},
		Summary:         summary,
		MaxBodyBytes:    maxSmallBody,
		BodyReadTimeout: bodyReadTimeout,
	}
	for _, option := range options {
		option(&op)
	}
	return op
}

// status sets the status of a successful response.
func status(code int) func(*huma.Operation) {
	return func(op *huma.Operation) { op.DefaultStatus = code }
}

// description sets the text that explains an operation.
func description(text string) func(*huma.Operation) {
	return func(op *huma.Operation) { op.Description = text }
}
