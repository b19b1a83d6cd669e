package check_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Documents link to what there is, headings included, and the API's guide names
// operations that the API has: every path of it.
func TestDocuments(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d documents, %v", len(files), err)
	}
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, file := range append(files, filepath.Join(root, "README.md"), filepath.Join(root, "ARCHITECTURE.md")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			target, heading, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			place := filepath.Join(filepath.Dir(file), target)
			if target == "" {
				place = file
			}
			if !exists(t, place) {
				t.Errorf("%s links to %s, which is not there", file, match[1])
				continue
			}
			if heading != "" &&
				!strings.Contains(
					strings.ToLower(read(t, strings.TrimPrefix(place, root+"/"))),
					"## "+strings.ReplaceAll(heading, "-", " "),
				) {
				t.Errorf("%s links to a heading that is not there: %s", file, match[1])
			}
		}
	}

	var api struct {
		Paths map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(read(t, "api/openapi.json")), &api); err != nil {
		t.Fatal(err)
	}
	named := make(map[string]bool)
	for _, match := range regexp.MustCompile("`(GET|POST|PATCH|DELETE) (/[^`?]*)`").FindAllStringSubmatch(read(t, "docs/api.md"), -1) {
		if _, ok := api.Paths[match[2]][strings.ToLower(match[1])]; !ok {
			t.Errorf("docs/api.md names %s %s, which is not there", match[1], match[2])
		}
		named[match[2]] = true
	}
	for path := range api.Paths {
		if !named[path] {
			t.Errorf("docs/api.md does not name %s", path)
		}
	}
}
