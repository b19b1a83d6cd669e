package api_test

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/api"
)

var update = flag.Bool("update", false, "regenerate openapi.json")

// TestOpenAPIIsUpToDate checks that the committed document, from which the UI's types are generated, matches the code.
func TestOpenAPIIsUpToDate(t *testing.T) {
	t.Parallel()
	document, err := start(t, api.Config{Version: "1"}).api.Document()
	if err != nil {
		t.Fatal(err)
	}
	document = append(document, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", document, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile("openapi.json")
	if err != nil || string(committed) != string(document) {
		t.Errorf("openapi.json is outdated; run make generate (%v)", err)
	}
	var parsed struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct {
					Schema map[string]any `json:"schema"`
				} `json:"content"`
			} `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(document, &parsed); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/api/v1/snapshots",
		"/api/v1/live",
		"/api/v1/machines",
		"/api/v1/machines/{machine_id}",
		"/api/v1/machines/{machine_id}/snapshots",
		"/api/v1/machines/{machine_id}/at",
	} {
		if len(parsed.Paths[path]) == 0 {
			t.Errorf("%s is not described", path)
		}
	}
	if !strings.Contains(string(document), `"request_id"`) {
		t.Error("errors are not described as problems")
	}
}
