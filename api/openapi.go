package api

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	jsonv2 "github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/internal/basepath"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
)

// The routes that other packages serve and the OpenAPI document describes.
const (
	ingestPath = "/api/v1/snapshots"
	livePath   = "/api/v1/live"
)

// openAPIPath is the path of the OpenAPI document, without the endings of its formats.
const openAPIPath = "/api/v1/openapi"

// configureHuma sets what huma has only for the whole program.
var configureHuma = sync.OnceFunc(func() {
	// Fields whose names differ in case are refused. The decoder of bodies ignores them, so a request would do less
	// than it says, such as create a token without its limits.
	huma.ValidateStrictCasing = true
	newError := huma.NewError
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		if message == unreadableBody {
			status = http.StatusBadRequest // huma's is 500
		}
		return newError(status, message, errs...)
	}
})

// unreadableBody is huma's message for a body that is incomplete or not as HTTP requires.
const unreadableBody = "cannot read request body"

func (a *API) humaConfig() huma.Config {
	configureHuma()
	config := huma.DefaultConfig("snapwatch", a.cfg.Version)
	config.Info.Description = "History of every process on every machine. Sizes are in bytes, durations in " +
		"milliseconds and usage in percent. Times are RFC 3339 in UTC. Errors are RFC 9457 problem details."
	// All of them are pointers, and null if they are unknown.
	config.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[snapshot.CPUTime](), reflect.TypeFor[*float64]())
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", "" // see mountOpenAPI
	config.CreateHooks = nil                                             // no $schema links in responses
	format := huma.Format{
		Marshal:   writeJSON,
		Unmarshal: func(data []byte, v any) error { return jsonv2.Unmarshal(data, v) },
	}
	config.Formats = map[string]huma.Format{"application/json": format, "json": format}
	config.RejectUnknownQueryParameters = true
	config.Transformers = []huma.Transformer{transformProblem}
	return config
}

// mountOpenAPI mounts the OpenAPI document, in JSON and YAML and in the versions 3.1 and 3.0. Below a base path, the
// document names it as the server's address.
func (a *API) mountOpenAPI() {
	for _, format := range []struct {
		ending, contentType string
		encode              func(*huma.OpenAPI) ([]byte, error)
	}{
		{".json", "application/openapi+json", (*huma.OpenAPI).MarshalJSON},
		{"-3.0.json", "application/openapi+json", (*huma.OpenAPI).Downgrade},
		{".yaml", "application/openapi+yaml", (*huma.OpenAPI).YAML},
		{"-3.0.yaml", "application/openapi+yaml", (*huma.OpenAPI).DowngradeYAML},
	} {
		a.engine.GET(openAPIPath+format.ending, func(c *gin.Context) {
			document := *a.huma.OpenAPI()
			if base := basepath.Of(c.Request.Context()); base != "" {
				document.Servers = []*huma.Server{{URL: base}}
			}
			text, err := format.encode(&document)
			if err != nil {
				a.abort(c, fmt.Errorf("encode the OpenAPI document: %w", err))
				return
			}
			c.Data(http.StatusOK, format.contentType, text)
		})
	}
}

// describeOtherRoutes adds the routes that huma does not serve to the OpenAPI document, and describes all errors as
// problems.
func (a *API) describeOtherRoutes() {
	document := a.huma.OpenAPI()
	schemas := document.Components.Schemas
	for _, op := range []*huma.Operation{
		describeIngest(schemas),
		describeLive(schemas),
		describeRedirect(schemas, oidcLoginPath, "Start sign-in through the identity provider"),
		describeRedirect(schemas, OIDCCallbackPath, "Finish sign-in through the identity provider"),
		describeMetrics(schemas, "/metrics", "Get the server's own metrics for Prometheus"),
		describeMetrics(schemas, "/metrics/machines", "Get the latest values of the caller's machines for Prometheus"),
		describeHealth(schemas, "/healthz", "Check that the server is alive"),
		describeReady(schemas),
	} {
		document.AddOperation(op)
	}
	schemaOf(schemas, broadcaster.LiveRequest{})
	// huma describes errors with its own type, but transformProblem sends problems.
	schemas.Map()["ErrorModel"] = schemaOf(schemas, problem.Problem{})
}

func schemaOf(schemas huma.Registry, v any) *huma.Schema {
	return schemas.Schema(reflect.TypeOf(v), true, "")
}

func jsonContent(schemas huma.Registry, v any) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"application/json": {Schema: schemaOf(schemas, v)}}
}

// withProblems adds problem responses to the responses of an operation.
func withProblems(
	schemas huma.Registry, responses map[string]*huma.Response, statuses ...string,
) map[string]*huma.Response {
	schema := schemaOf(schemas, problem.Problem{})
	for _, status := range statuses {
		responses[status] = &huma.Response{
			Description: "A problem",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: schema}},
		}
	}
	return responses
}

func describeIngest(schemas huma.Registry) *huma.Operation {
	op := operation(http.MethodPost, ingestPath, "post-snapshots", tagSnapshots,
		"Store a batch of snapshots",
		description("The body may be compressed with gzip or zstd (Content-Encoding). The server responds after it "+
			"has committed the batch. A batch is stored completely or not at all. Snapshots that are stored already "+
			"are counted as duplicates. After 409 full_snapshot_needed or out_of_order, the next snapshot must be a "+
			"full one. After 413, 429 or 503, send the batch again, in smaller batches or after the time in "+
			"Retry-After. docs/limits.md lists the limits."))
	op.RequestBody = &huma.RequestBody{Required: true, Content: jsonContent(schemas, snapshot.Batch{})}
	op.Responses = withProblems(schemas, map[string]*huma.Response{
		"200": {Description: "The heartbeat was received", Content: jsonContent(schemas, snapshot.Ack{})},
		"201": {Description: "The batch is stored", Content: jsonContent(schemas, snapshot.Ack{})},
	}, "400", "401", "403", "409", "413", "415", "422", "429", "503")
	return &op
}

func describeLive(schemas huma.Registry) *huma.Operation {
	op := operation(http.MethodGet, livePath, "live", tagLive,
		"Subscribe to live snapshots",
		description("Opens a WebSocket. Send LiveRequest objects to subscribe to any number of machines, and receive "+
			"LiveMessage objects. After a lost connection, subscribe with since to get what you missed. The server "+
			"closes the socket with 4401 when the session or token becomes invalid, and with 4403 when the caller "+
			"loses access to a subscribed machine."))
	op.Responses = withProblems(schemas, map[string]*huma.Response{"101": {
		Description: "The WebSocket is open. Its messages have the schema LiveMessage",
		Content:     jsonContent(schemas, broadcaster.LiveMessage{}),
	}}, "401", "403", "426", "503")
	return &op
}

func describeRedirect(schemas huma.Registry, path, summary string) *huma.Operation {
	id := "oidc-" + path[strings.LastIndex(path, "/")+1:]
	op := operation(http.MethodGet, path, id, tagSignIn, summary)
	op.Responses = withProblems(schemas, map[string]*huma.Response{
		"302": {Description: "Redirect to the identity provider or to the UI"},
	}, "404")
	return &op
}

func describeMetrics(schemas huma.Registry, path, summary string) *huma.Operation {
	op := operation(http.MethodGet, path, "get"+strings.ReplaceAll(path, "/", "-"), tagMetrics, summary)
	op.Responses = withProblems(schemas, map[string]*huma.Response{"200": {
		Description: "Metrics in the Prometheus text format",
		Content:     map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}, "401", "403")
	return &op
}

func describeHealth(schemas huma.Registry, path, summary string) *huma.Operation {
	op := operation(http.MethodGet, path, path[1:], tagHealth, summary)
	op.Responses = withProblems(schemas, map[string]*huma.Response{"200": {Description: "The check passed"}}, "503")
	return &op
}

// describeReady describes /readyz.
func describeReady(schemas huma.Registry) *huma.Operation {
	op := describeHealth(schemas, "/readyz", "Check that the server can do its work")
	op.Description = "Responds at once with the results of the last checks, which are a few seconds old. A server " +
		"that is not ready responds with 503, and errors has the name and the reason of each check that fails. With " +
		"status degraded, a check gives a warning."
	op.Responses["200"] = &huma.Response{Description: "The server is ready", Content: jsonContent(schemas, ReadyView{})}
	return op
}

// describeSecurity adds the credentials that each operation accepts to the OpenAPI document.
func (a *API) describeSecurity() {
	document := a.huma.OpenAPI()
	document.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "Token of a program or an agent"},
		"session": {
			Type: "apiKey",
			In:   "cookie",
			Name: sessionCookie,
			Description: "Session of a user. Behind TLS, the cookie's name begins with " + hostPrefix + ", or with " +
				securePrefix + " if the server has a base path",
		},
	}
	for path, item := range document.Paths {
		for method, op := range operationsOf(item) {
			op.Security = []map[string][]string{{"token": {}}, {"session": {}}}
			if a.access.policy.IsPublic(method + " " + path) {
				op.Security = []map[string][]string{}
			}
		}
	}
}

// operationsOf returns the operations of a path, by method.
func operationsOf(item *huma.PathItem) map[string]*huma.Operation {
	operations := map[string]*huma.Operation{
		http.MethodGet:    item.Get,
		http.MethodPost:   item.Post,
		http.MethodPatch:  item.Patch,
		http.MethodDelete: item.Delete,
		http.MethodPut:    item.Put,
	}
	maps.DeleteFunc(operations, func(_ string, op *huma.Operation) bool { return op == nil })
	return operations
}
