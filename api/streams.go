package api

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/problem"
	"github.com/snapwatch/snapwatch/snapshot"
)

// The routes that huma does not serve, but whose description belongs to the document.
const (
	ingestPath = "/api/v1/snapshots"
	livePath   = "/api/v1/live"
)

// describeStreams adds what plain handlers serve to the document, and makes
// errors there what they are: problems.
func (a *API) describeStreams() {
	document := a.huma.OpenAPI()
	schemas := document.Components.Schemas
	of := func(v any) *huma.Schema { return schemas.Schema(reflect.TypeOf(v), true, "") }
	body := func(v any) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{"application/json": {Schema: of(v)}}
	}
	failure := &huma.Response{Description: "A problem", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: of(problem.Problem{})}}}

	document.AddOperation(&huma.Operation{OperationID: "post-snapshots", Method: http.MethodPost, Path: ingestPath, Tags: []string{"snapshots"},
		Summary: "Store a batch of snapshots; the answer comes after the commit",
		Description: "The body may be compressed (Content-Encoding gzip or zstd). A batch is stored as a whole or not at all; snapshots that were stored before are " +
			"counted as duplicates. After 409 full_snapshot_needed or out_of_order the next snapshot must be a full one. 413, 429 and 503 lose nothing: " +
			"send again, in smaller batches or after Retry-After. docs/limits.md lists the limits.",
		RequestBody: &huma.RequestBody{Required: true, Content: body(snapshot.Batch{})},
		Responses: map[string]*huma.Response{
			"200": {Description: "A heartbeat was taken", Content: body(snapshot.Ack{})},
			"201": {Description: "The batch is durable", Content: body(snapshot.Ack{})},
			"400": failure, "409": failure, "413": failure, "415": failure, "422": failure, "503": failure,
		}})
	document.AddOperation(&huma.Operation{OperationID: "live", Method: http.MethodGet, Path: livePath, Tags: []string{"live"},
		Summary: "Live snapshots over WebSocket",
		Description: "Send LiveRequest objects to subscribe to machines, on one socket as many as wanted; receive LiveMessage objects. " +
			"After a broken connection, subscribe with since to get what was missed.",
		Responses: map[string]*huma.Response{
			"101": {Description: "The socket is open; its messages are of schema LiveMessage", Content: body(broadcaster.LiveMessage{})},
			"403": failure, "426": failure, "503": failure,
		}})
	of(broadcaster.LiveRequest{})
	// huma describes errors by its own type; what it sends are our problems.
	schemas.Map()["ErrorModel"] = of(problem.Problem{})
}
