package api

import (
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
)

// The routes that huma does not serve, but whose description belongs to the document.
const (
	ingestPath = "/api/v1/snapshots"
	livePath   = "/api/v1/live"
)

// describeStreams adds what plain handlers serve to the document, and makes
// errors there what they are: problems.
func (a *API) describeOtherRoutes() {
	document := a.huma.OpenAPI()
	schemas := document.Components.Schemas
	of := func(v any) *huma.Schema { return schemas.Schema(reflect.TypeOf(v), true, "") }
	body := func(v any) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{"application/json": {Schema: of(v)}}
	}
	failure := &huma.Response{
		Description: "A problem",
		Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: of(problem.Problem{})}},
	}

	document.AddOperation(
		&huma.Operation{
			OperationID: "post-snapshots",
			Method:      http.MethodPost,
			Path:        ingestPath,
			Tags:        []string{"snapshots"},
			Summary:     "Store a batch of snapshots; the answer comes after the commit",
			Description: "The body may be compressed (Content-Encoding gzip or zstd). A batch is stored as a whole or not at all; snapshots that were stored before are " +
				"counted as duplicates. After 409 full_snapshot_needed or out_of_order the next snapshot must be a full one. 413, 429 and 503 lose nothing: " +
				"send again, in smaller batches or after Retry-After. docs/limits.md lists the limits.",
			RequestBody: &huma.RequestBody{Required: true, Content: body(snapshot.Batch{})},
			Responses: map[string]*huma.Response{
				"200": {Description: "A heartbeat was taken", Content: body(snapshot.Ack{})},
				"201": {Description: "The batch is durable", Content: body(snapshot.Ack{})},
				"400": failure, "401": failure, "403": failure, "409": failure, "413": failure, "415": failure, "422": failure, "429": failure, "503": failure,
			},
		},
	)
	for path, what := range map[string]string{oidcLoginPath: "Send the browser to the identity provider", oidcCallbackPath: "Where the identity provider sends the browser back to"} {
		document.AddOperation(
			&huma.Operation{
				OperationID: "oidc-" + path[strings.LastIndex(path, "/")+1:],
				Method:      http.MethodGet,
				Path:        path,
				Tags:        []string{"log-in"},
				Summary:     what,
				Responses: map[string]*huma.Response{
					"302": {Description: "Elsewhere: the provider, or our pages"},
					"404": failure,
				},
			},
		)
	}
	for path, what := range map[string]string{"/metrics": "The server's own metrics, for Prometheus", "/metrics/machines": "The newest values of the machines that the caller sees, for Prometheus"} {
		document.AddOperation(
			&huma.Operation{
				OperationID: "get" + strings.ReplaceAll(path, "/", "-"),
				Method:      http.MethodGet,
				Path:        path,
				Tags:        []string{"metrics"},
				Summary:     what,
				Responses: map[string]*huma.Response{
					"200": {
						Description: "Metrics as text",
						Content: map[string]*huma.MediaType{
							"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}},
						},
					},
					"401": failure,
					"403": failure,
				},
			},
		)
	}
	for path, what := range map[string]string{"/healthz": "The server is alive", "/readyz": "The server can reach its database"} {
		document.AddOperation(
			&huma.Operation{
				OperationID: path[1:],
				Method:      http.MethodGet,
				Path:        path,
				Tags:        []string{"health"},
				Summary:     what,
				Responses:   map[string]*huma.Response{"200": {Description: "Yes"}, "503": failure},
			},
		)
	}
	document.AddOperation(
		&huma.Operation{OperationID: "live", Method: http.MethodGet, Path: livePath, Tags: []string{"live"},
			Summary: "Live snapshots over WebSocket",
			Description: "Send LiveRequest objects to subscribe to machines, on one socket as many as wanted; receive LiveMessage objects. " +
				"After a broken connection, subscribe with since to get what was missed. The socket is closed with 4401 when the session or token ends, and with 4403 when " +
				"a machine that it watches may not be read any more.",
			Responses: map[string]*huma.Response{
				"101": {
					Description: "The socket is open; its messages are of schema LiveMessage",
					Content:     body(broadcaster.LiveMessage{}),
				},
				"401": failure, "403": failure, "426": failure, "503": failure,
			}},
	)
	of(broadcaster.LiveRequest{})
	// huma describes errors by its own type; what it sends are our problems.
	schemas.Map()["ErrorModel"] = of(problem.Problem{})
}

// describeSecurity says of each operation which credentials it takes.
func (a *API) describeSecurity() {
	document := a.huma.OpenAPI()
	document.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "A token: of a program, or of an agent"},
		"session": {
			Type:        "apiKey",
			In:          "cookie",
			Name:        sessionCookie,
			Description: "The session of a person who has logged in; behind TLS its name begins with " + securePrefix,
		},
	}
	for path, item := range document.Paths {
		for method, operation := range map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete, http.MethodPut: item.Put} {
			if operation == nil {
				continue
			}
			operation.Security = []map[string][]string{{"token": {}}, {"session": {}}}
			if a.access.policy.IsPublic(method + " " + path) {
				operation.Security = []map[string][]string{}
			}
		}
	}
}
