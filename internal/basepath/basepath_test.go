package basepath_test

import (
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/internal/basepath"
)

func TestParse(t *testing.T) {
	t.Parallel()
	longest := "/" + strings.Repeat("a", 199)
	for text, want := range map[string]string{
		"":                "",
		"/":               "",
		"/snapwatch":      "/snapwatch",
		"/snapwatch/":     "/snapwatch",
		"/tools/snap_w.1": "/tools/snap_w.1",
		longest:           longest,
	} {
		if got, err := basepath.Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %q, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"snapwatch", "//", "//evil.example", "/a//b", "/a/../b", "/..", "/.", "/a b", "/a?b", "/a#b", `/a"b`, "/a;b",
		"/ä", "/%61", `/\evil.example`, "https://snapwatch.example.org/", "/a\n", longest + "a",
	} {
		if got, err := basepath.Parse(text); err == nil {
			t.Errorf("Parse(%q) = %q", text, got)
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path, base, rest string
		below            bool
	}{
		{"/api", "", "/api", true},
		{"/", "", "/", true},
		{"/a", "/a", "/", true},
		{"/a/", "/a", "/", true},
		{"/a/b", "/a", "/b", true},
		{"/a/a/b", "/a", "/a/b", true},
		{"/ab", "/a", "", false},
		{"/b", "/a", "", false},
		{"/", "/a", "", false},
		{"*", "/a", "", false},
	} {
		rest, below := basepath.Cut(test.path, test.base)
		if below != test.below || below && rest != test.rest {
			t.Errorf("Cut(%q, %q) = %q, %v", test.path, test.base, rest, below)
		}
	}
}
