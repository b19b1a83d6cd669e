package docstest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// notInTree lists paths in backticks that are not in the repository, with the reason.
var notInTree = map[string]string{
	"bin":                 "made by make build",
	"bin/snapwatch":       "made by make build",
	"bin/snapwatch-agent": "made by make build",
	"bin/logs":            "made by make test",
	"agent.env":           "settings of an installed agent",
	"spool":               "folder of an agent's state directory",
	"refused":             "folder of an agent's state directory",
	".env":                "settings of the user",
	"node_modules":        "made by npm",
	"search.ts":           "file of each feature",
	"NNNN_name.up.sql":    "pattern of a name",
	"NNNN_name.down.sql":  "pattern of a name",
	"application/json":    "media type",
}

// TestPathsExist checks that each path in backticks is in the repository. A path is one word
// that contains a slash, or that ends like the name of a source file. It may contain *.
func TestPathsExist(t *testing.T) {
	t.Parallel()
	word := regexp.MustCompile("`([A-Za-z0-9_.*@-]+(?:/[A-Za-z0-9_.*@-]+)*/?)`")
	file := regexp.MustCompile(`\.(go|ts|tsx|mjs|md|yml|yaml|json|sh|sql|service)$`)
	for name, text := range documents(t) {
		for _, match := range word.FindAllStringSubmatch(strings.Join(withoutCode(text), "\n"), -1) {
			path := match[1]
			if _, ok := notInTree[path]; ok || !strings.Contains(path, "/") && !file.MatchString(path) {
				continue
			}
			if !inTree(t, path, filepath.Dir(name)) {
				t.Errorf("%s names %s, which does not exist", name, path)
			}
		}
	}
}

// inTree reports whether a path exists, from the root or from the document's folder.
func inTree(t *testing.T, path, folder string) bool {
	t.Helper()
	return slices.ContainsFunc([]string{path, filepath.Join(folder, path)}, func(path string) bool {
		found, err := filepath.Glob(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		return len(found) > 0
	})
}

// TestLinksResolve checks the links of documents at the root that the release does not
// contain. A test of deploy/check does the same for the others.
func TestLinksResolve(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s#]+)`)
	for _, name := range []string{"CONTRIBUTING.md", "CHANGELOG.md", "bench/RESULTS.md"} {
		for _, match := range link.FindAllStringSubmatch(documents(t)[name], -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), match[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, match[1])
			}
		}
	}
}
