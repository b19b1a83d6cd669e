package api

import "github.com/danielgtaylor/huma/v2"

// maxSmallBody is the maximum size of request bodies, except of snapshots.
const maxSmallBody = 64 << 10

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

// operation returns the description of an operation. It responds with status 200, or 204 if it has no body.
func operation(method, path, id, tag, summary string) huma.Operation {
	return huma.Operation{
		OperationID:  id,
		Method:       method,
		Path:         path,
		Tags:         []string{tag},
		Summary:      summary,
		MaxBodyBytes: maxSmallBody,
	}
}

// withStatus sets the status of a successful response.
func withStatus(status int, op huma.Operation) huma.Operation {
	op.DefaultStatus = status
	return op
}

// withDescription sets the description.
func withDescription(description string, op huma.Operation) huma.Operation {
	op.Description = description
	return op
}
