package api

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/snapwatch/snapwatch/internal/problem"
)

// PostgreSQL cannot store invalid UTF-8 or a NUL character. The following middlewares refuse requests that contain
// them. ingest validates its bodies itself.

// refuseInvalidParameters is the middleware that checks the parameters in the path and the query.
func (a *API) refuseInvalidParameters(c *gin.Context) {
	for _, param := range c.Params {
		if !isStorable(param.Value) {
			a.abort(c, invalidText(param.Key))
			return
		}
	}
	if c.FullPath() == "" { // a page of the UI, which reads the query in the browser
		query, err := url.QueryUnescape(c.Request.URL.RawQuery)
		switch {
		case !isStorable(c.Request.URL.Path):
			a.abort(c, invalidText("path"))
		case err == nil && !isStorable(query):
			a.abort(c, invalidText("query"))
		}
		return
	}
	if err := a.checkQuery(operationOf(c), c.Request.URL.RawQuery); err != nil {
		a.abort(c, err)
	}
}

// checkQuery returns a problem for a query that is not encoded correctly, has invalid text, or repeats a parameter of
// the operation that is not a list. Otherwise, what the client meant would be ignored.
func (a *API) checkQuery(operation, query string) error {
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(rawName)
		value, valueErr := url.QueryUnescape(rawValue)
		switch {
		case strings.Contains(pair, ";"): // a separator for some servers, so it must be escaped
			return invalidField(withoutNUL(cmp.Or(name, rawName)), "must not contain an unescaped semicolon")
		case nameErr != nil || valueErr != nil:
			return invalidField(withoutNUL(cmp.Or(name, rawName)), "must be percent-encoded")
		case !isStorable(name) || !isStorable(value):
			return invalidText(withoutNUL(name))
		case seen[name] && !slices.Contains(a.listParameters[operation], name):
			return invalidField(name, "must not be repeated")
		}
		seen[name] = true
	}
	return nil
}

// listParametersOf returns the query parameters of each operation that may be repeated.
func listParametersOf(document *huma.OpenAPI) map[string][]string {
	lists := map[string][]string{}
	for path, item := range document.Paths {
		for method, op := range operationsOf(item) {
			for _, parameter := range op.Parameters {
				if parameter.In == "query" && parameter.Schema.Type == huma.TypeArray {
					name := method + " " + path
					lists[name] = append(lists[name], parameter.Name)
				}
			}
		}
	}
	return lists
}

// refuseInvalidBody is the middleware that checks the texts of a JSON body.
func (a *API) refuseInvalidBody(c *gin.Context) {
	if c.Request.Body == nil || c.FullPath() == ingestPath {
		return
	}
	// A longer body is refused later.
	body, err := io.ReadAll(io.LimitReader(c.Request.Body, maxSmallBody))
	c.Request.Body = readCloser{io.MultiReader(bytes.NewReader(body), c.Request.Body), c.Request.Body}
	if err != nil || utf8.Valid(body) && !bytes.Contains(body, []byte(`\u`)) {
		return
	}
	var parsed any
	if err := jsonv2.Unmarshal(body, &parsed); err != nil {
		invalid, ok := errors.AsType[*jsontext.SyntacticError](err)
		if ok && jsonv2.Unmarshal(body, &parsed, jsontext.AllowInvalidUTF8(true)) == nil {
			a.abort(c, invalidText(fieldOfPointer(invalid.JSONPointer)))
		}
		return // other errors are found later
	}
	if field, found := fieldWithNUL("", parsed); found {
		a.abort(c, invalidText(field))
	}
}

// fieldOfPointer converts a JSON pointer, for example /tags/2 to tags[2].
func fieldOfPointer(pointer jsontext.Pointer) (field string) {
	for token := range pointer.Tokens() {
		if n, err := strconv.Atoi(token); err == nil {
			field += fmt.Sprintf("[%d]", n)
		} else {
			field += "." + withoutNUL(token)
		}
	}
	return strings.TrimPrefix(field, ".")
}

type readCloser struct {
	io.Reader
	io.Closer
}

func isStorable(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

func withoutNUL(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
}

func invalidText(field string) *problem.Problem {
	return invalidField(field, "must be valid UTF-8, without NUL characters and unpaired surrogates")
}

// fieldWithNUL returns the path of a text with a NUL character in a JSON value, for example tags[2].
func fieldWithNUL(path string, value any) (field string, found bool) {
	switch value := value.(type) {
	case string:
		return path, strings.Contains(value, "\x00")
	case []any:
		for i, one := range value {
			if field, found = fieldWithNUL(fmt.Sprintf("%s[%d]", path, i), one); found {
				return field, true
			}
		}
	case map[string]any:
		for name, one := range value {
			inner := strings.TrimPrefix(path+"."+withoutNUL(name), ".")
			if field, found = fieldWithNUL(inner, one); found || strings.Contains(name, "\x00") {
				return cmp.Or(field, inner), true
			}
		}
	}
	return "", false
}
