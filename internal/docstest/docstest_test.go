// Package docstest checks the documentation against the repository: measured figures name
// their source in bench/RESULTS.md, paths in backticks exist, and prose wraps at 120 columns.
package docstest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// root is the top of the repository.
const root = "../.."

// generated lists documents that are made from the code. Other tests keep them up to date.
var generated = []string{"docs/settings.md", "docs/limits.md", "docs/metrics.md"}

// documents returns the hand-written documents by their path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/RESULTS.md",
	} {
		files = append(files, filepath.Join(root, name))
	}
	texts := make(map[string]string)
	for _, file := range files {
		name, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(generated, filepath.ToSlash(name)) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.ToSlash(name)] = string(text)
	}
	return texts
}

var fence = regexp.MustCompile("^ *```")

// withoutCode returns the lines of a document with fenced code blocks left empty.
func withoutCode(text string) []string {
	lines := strings.Split(text, "\n")
	inside := false
	for i, line := range lines {
		isFence := fence.MatchString(line)
		if isFence || inside {
			lines[i] = ""
		}
		if isFence {
			inside = !inside
		}
	}
	return lines
}

// TestLinesWrap checks that prose has at most 120 columns. Tables, code, headings and link
// definitions may be longer, and so may a line that is one long word or link.
func TestLinesWrap(t *testing.T) {
	t.Parallel()
	exempt := regexp.MustCompile(`^( *\||#|\[[^\]]+\]: |\S*\[[^\]]*\]\([^)]*\)\S*$)`)
	for name, text := range documents(t) {
		for i, line := range withoutCode(text) {
			if utf8.RuneCountInString(line) > 120 && !exempt.MatchString(line) {
				t.Errorf("%s:%d has %d columns; wrap it at 120", name, i+1, utf8.RuneCountInString(line))
			}
		}
	}
}
