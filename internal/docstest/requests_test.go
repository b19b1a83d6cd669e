package docstest

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestRequestsAreInTheAPI checks the requests in code blocks: the path and each query
// parameter must be in the OpenAPI document.
func TestRequestsAreInTheAPI(t *testing.T) {
	t.Parallel()
	var api struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	text, err := os.ReadFile(root + "/api/openapi.json")
	if err == nil {
		err = json.Unmarshal(text, &api)
	}
	if err != nil {
		t.Fatal(err)
	}
	request := regexp.MustCompile(
		`(?:-X ([A-Z]+) )?"?(?:\$api|http://127\.0\.0\.1:8420/api/v1)(/[^\s"?]+)(?:\?([^"\s]*))?`,
	)
	found := 0
	for name, text := range documents(t) {
		for _, match := range request.FindAllStringSubmatch(text, -1) {
			found++
			path := "/api/v1" + strings.ReplaceAll(match[2], "$machine", "{machine_id}")
			operations, ok := api.Paths[path]
			if !ok {
				t.Errorf("%s requests %s, which the API does not have", name, path)
				continue
			}
			method := "get"
			if match[1] != "" {
				method = strings.ToLower(match[1])
			}
			query, err := url.ParseQuery(match[3])
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			known := make(map[string]bool)
			for _, parameter := range operations[method].Parameters {
				known[parameter.Name] = parameter.In == "query"
			}
			for parameter := range query {
				if !known[parameter] {
					t.Errorf("%s requests %s with %s, which it does not have", name, path, parameter)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d requests", found)
	}
}
