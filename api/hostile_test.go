package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/api/apitest"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// apiDocument is the part of the OpenAPI document that the walk uses.
type apiDocument struct {
	Paths map[string]map[string]struct {
		Parameters []struct {
			Name, In string
			Schema   schema
		}
		RequestBody struct {
			Content map[string]struct{ Schema schema }
		}
	}
	Components struct{ Schemas map[string]schema }
}

// document returns the OpenAPI document.
func (s *testServer) document() (document apiDocument) {
	s.t.Helper()
	text, err := s.api.Document()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(text, &document); err != nil {
		s.t.Fatal(err)
	}
	return document
}

// resolve returns the schema that a reference points to.
func (d *apiDocument) resolve(s schema) schema {
	if name, found := strings.CutPrefix(s.Ref, "#/components/schemas/"); found {
		return d.Components.Schemas[name]
	}
	return s
}

// walkRequest is a request of the walk: its template, with one hostile value.
type walkRequest struct {
	operation string
	path      map[string]string // unescaped path parameters
	query     url.Values
	rawQuery  string // appended to the query
	body      string
	header    [][2]string
	anonymous bool

	what     string // describes the hostile value
	field    string // the field that a 422 must name, if mustName
	mustName bool
	mustFail bool // the document declares the value invalid
}

// ignoresUnknownFields reports whether the operation ignores fields that it does not know, because newer agents may
// send them.
func (r *walkRequest) ignoresUnknownFields() bool {
	return slices.Contains(
		[]string{"POST /api/v1/snapshots", "POST /api/v1/machines", "POST /api/v1/enrol"}, r.operation,
	)
}

// walk sends hostile requests to every operation.
type walk struct {
	*testServer
	document apiDocument
	n        atomic.Int64 // requests
	places   int          // places in which hostile values were put
}

// some returns the values that every place gets, and some of the others: each place gets different ones.
func (w *walk) some(always, others []string) []string {
	const share = 8
	list := slices.Clone(always)
	for i := w.places % share; i < len(others); i += share {
		list = append(list, others[i])
	}
	w.places++
	return list
}

func (w *walk) send(t *testing.T, r walkRequest) (status int, text string) {
	t.Helper()
	ctx, cancel := testwait.Context(t)
	defer cancel()
	method, path, _ := strings.Cut(r.operation, " ")
	for name, value := range r.path {
		path = strings.ReplaceAll(path, "{"+name+"}", escaped(value))
	}
	query := strings.Trim(r.query.Encode()+"&"+r.rawQuery, "&")
	request, err := http.NewRequestWithContext(ctx, method, w.url+path+"?"+query, strings.NewReader(r.body))
	if err != nil {
		t.Fatalf("%s %s: %v", r.operation, r.what, err)
	}
	if r.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	// Requests without a credential are limited by address.
	n := w.n.Add(1)
	request.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255))
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	if !r.anonymous {
		request.Header.Set("Authorization", "Bearer "+w.token)
	}
	for _, header := range r.header {
		request.Header.Set(header[0], header[1])
		if header[0] == "Cookie" {
			request.Header.Del("Authorization")
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Errorf("%s %s: %v", r.operation, r.what, err)
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response.StatusCode, ""
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("%s %s: %v", r.operation, r.what, err)
	}
	return response.StatusCode, string(body)
}

// check sends a hostile request and checks the response.
func (w *walk) check(t *testing.T, r walkRequest) {
	t.Helper()
	status, text := w.send(t, r)
	var found struct{ Code, Field string }
	_ = json.Unmarshal([]byte(text), &found)
	switch {
	case status == 0: // reported
	case status >= 400 && found.Code == "" && r.operation != "GET /api/v1/live": // the WebSocket library refuses some
		t.Errorf("%s %s: %d without a problem: %.300q", r.operation, r.what, status, text)
	case status >= 500:
		t.Errorf("%s %s: %d %.300s", r.operation, r.what, status, text)
	case status == http.StatusTooManyRequests:
		t.Errorf("%s %s does not reach the handler: %.300s", r.operation, r.what, text)
	case r.anonymous && status == http.StatusUnauthorized:
	case r.mustName && (status != http.StatusUnprocessableEntity || found.Field != r.field):
		t.Errorf("%s %s: %d %.300s, want 422 of %s", r.operation, r.what, status, text, r.field)
	case r.mustFail && status < 400:
		t.Errorf("%s %s: %d, but the document declares it invalid", r.operation, r.what, status)
	}
}

// TestHostileRequests sends hostile values in every place of every operation that the OpenAPI document describes: with
// valid values in all other places, and with and without a credential. No response may be a 5xx, values that cannot be
// stored must be refused with the name of the field, and values that the document declares invalid must be refused.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	s := testServerOf(t, apitest.Start(t, storetest.Postgres(t), apitest.Config{
		Config: api.Config{
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, MachineMetrics: 10,
		},
		OIDC: &auth.OIDCConfig{Issuer: startProvider(t), ClientID: "snapwatch", RoleClaim: "role"},
	}))
	w := &walk{testServer: s, document: s.document()}
	s.postSnapshots("m", recentTime(), 3)
	templates := (&requestTemplates{testServer: s}).all(t)
	var documented []string
	var requests []walkRequest
	for _, path := range slices.Sorted(maps.Keys(w.document.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(w.document.Paths[path])) {
			operation := strings.ToUpper(method) + " " + path
			documented = append(documented, operation)
			template, found := templates[operation]
			if !found {
				t.Errorf("the walk has no template of %s", operation)
				continue
			}
			valid := template(t)
			valid.operation = operation
			if status, text := w.send(t, valid); status < 101 || status >= 400 {
				t.Errorf("%s with valid values: %d %s", operation, status, text)
			}
			requests = append(requests, w.requests(t, operation, template)...)
		}
	}
	for operation := range templates {
		if !slices.Contains(documented, operation) {
			t.Errorf("the document does not describe %s", operation)
		}
	}
	for _, route := range s.api.Operations() {
		undocumented := strings.HasPrefix(route, "GET /api/v1/openapi")
		if !slices.Contains(documented, route) && !undocumented {
			t.Errorf("the document does not describe the route %s", route)
		}
	}
	work := make(chan walkRequest)
	var workers sync.WaitGroup
	for range api.MaxCallerExports { // more at once would be refused
		workers.Go(func() {
			for r := range work {
				w.check(t, r)
			}
		})
	}
	for _, r := range requests {
		work <- r
	}
	close(work)
	workers.Wait()
	t.Logf("%d requests to %d operations", w.n.Load(), len(documented))
	if list := decode[page[api.MachineView]](t, s.get("/api/v1/machines")); len(list.Results) == 0 {
		t.Error("the machine is gone")
	}
}

// requests returns the hostile requests to an operation.
func (w *walk) requests(t *testing.T, operation string, template func(testing.TB) walkRequest) []walkRequest {
	t.Helper()
	var list []walkRequest
	method, path, _ := strings.Cut(operation, " ")
	add := func(what string, change func(r *walkRequest)) {
		r := template(t)
		r.operation, r.what = operation, what
		r.path, r.query = maps.Clone(r.path), cloneQuery(r.query)
		change(&r)
		list = append(list, r)
	}
	described := w.document.Paths[path][strings.ToLower(method)]
	for _, p := range described.Parameters {
		values := w.some(alwaysTexts, hostileTexts)
		if p.Name == "cursor" {
			values = append(values, hostileCursors()...)
		}
		for _, value := range values {
			if p.In == "path" && value == "" || p.In == "header" && strings.ContainsAny(value, "\x00\r\n\x7f") {
				continue // another route, or not a header
			}
			add(fmt.Sprintf("%s %s=%.60q", p.In, p.Name, value), func(r *walkRequest) {
				switch p.In {
				case "path":
					r.path[p.Name] = value
				case "query":
					r.query.Set(p.Name, value)
				case "header":
					r.header = append(r.header, [2]string{p.Name, value})
				}
				r.field, r.mustName = p.Name, p.In != "header" && isUnstorable(value)
				r.mustFail = p.In != "header" && p.Schema.refusesParameter(value)
			})
		}
		if p.In != "query" {
			continue
		}
		for _, value := range hostileQueries {
			add(fmt.Sprintf("query %s=%s", p.Name, value), func(r *walkRequest) {
				r.query.Del(p.Name)
				r.rawQuery = p.Name + "=" + value
				r.field, r.mustName = p.Name, true
			})
		}
		add("query "+p.Name+" twice", func(r *walkRequest) {
			r.rawQuery = p.Name + "=1&" + p.Name + "=1"
			r.query.Del(p.Name)
			r.field, r.mustName = p.Name, !p.Schema.allows("array")
		})
	}
	for _, query := range []string{"unknown=1", "%00=1", "%ff=1", "=1", "%zz", "&&&", strings.Repeat("a=1&", 2000)} {
		add(fmt.Sprintf("query %.20s", query), func(r *walkRequest) { r.rawQuery = query })
	}
	headerValues := []string{
		"\xff\xfe", strings.Repeat("x", 4000), "\u202e", "Bearer \xff", "snapwatch=\xff; snapwatch-device=\xff",
		"snapwatch-oidc=a.\xff.c", "gzip, gzip", "application/json; charset=\xff", "bytes=0-1,5-",
	}
	for i, header := range []string{
		"User-Agent", "Authorization", "Cookie", "X-Request-Id", "X-Forwarded-Proto", "Accept", "Accept-Encoding",
		"Origin", "Content-Type", "Content-Encoding", "If-None-Match", "Last-Event-Id", "Range",
	} {
		value := headerValues[(w.places+i)%len(headerValues)]
		add(fmt.Sprintf("header %s: %.30q", header, value), func(r *walkRequest) {
			r.header = append(r.header, [2]string{header, value})
		})
	}
	w.places++
	if body, found := described.RequestBody.Content["application/json"]; found {
		w.addBodies(body.Schema, add)
	}
	// Without a credential, a few are enough: they are refused before their operation is known.
	for i := range slices.Clone(list) {
		if i%16 == 0 {
			anonymous := list[i]
			anonymous.anonymous, anonymous.header = true, nil
			anonymous.what += " without a credential"
			list = append(list, anonymous)
		}
	}
	return list
}

func cloneQuery(query url.Values) url.Values {
	clone := url.Values{}
	for name, values := range query {
		clone[name] = slices.Clone(values)
	}
	return clone
}

// addBodies adds requests with hostile bodies, and with a hostile value in each place of a valid one.
func (w *walk) addBodies(root schema, add func(string, func(*walkRequest))) {
	for _, body := range hostileBodies {
		add(fmt.Sprintf("body %.40q", body), func(r *walkRequest) {
			r.body = body
			r.mustFail = len(w.document.resolve(root).Required) > 0
		})
	}
	w.visitPlaces(root, nil, func(place []any, s schema) {
		values := w.some(alwaysJSON, hostileJSON)
		if s.allows("string") {
			for _, text := range w.some(nil, hostileTexts) {
				if quoted, err := json.Marshal(text); err == nil && !isUnstorable(text) {
					values = append(values, string(quoted))
				}
			}
		}
		field := fieldName(place)
		for _, value := range values {
			add(fmt.Sprintf("body %s=%.60q", field, value), func(r *walkRequest) {
				r.body = replaced(r.body, place, value)
				isText := strings.HasPrefix(value, `"`)
				r.field, r.mustName = field, isText && s.allows("string") && isUnstorableJSON(value)
				_, isItem := place[len(place)-1].(int)
				r.mustFail = s.refusesJSON(value) && (value != "" || !isItem) // [] may be valid
			})
		}
		name, isName := place[len(place)-1].(string)
		if isName {
			add("body "+field+" twice", func(r *walkRequest) {
				r.body = replaced(r.body, place, fmt.Sprintf("1,%q:1", name))
				r.mustFail = true
			})
			otherCase := append(slices.Clone(place[:len(place)-1]), strings.ToUpper(name[:1])+name[1:])
			add("body "+field+" in another case", func(r *walkRequest) {
				r.body = replaced(r.body, otherCase, "1")
				r.mustFail = !r.ignoresUnknownFields()
			})
		}
	})
}

// visitPlaces calls visit for each place of a value in a body: a list of names and indexes.
func (w *walk) visitPlaces(s schema, place []any, visit func(place []any, s schema)) {
	s = w.document.resolve(s)
	if len(place) > 0 {
		visit(place, s)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		w.visitPlaces(s.Properties[name], append(slices.Clone(place), name), visit)
	}
	if s.Items != nil {
		w.visitPlaces(*s.Items, append(slices.Clone(place), 0), visit)
	}
}
