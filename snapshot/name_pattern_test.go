package snapshot_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/snapwatch/snapwatch/snapshot"
)

func TestExclude(t *testing.T) {
	for pattern, names := range map[string]struct{ matching, other []string }{
		"kworker":   {[]string{"kworker"}, []string{"kworker/0:1", "", "akworker"}},
		"kworker*":  {[]string{"kworker", "kworker/0:1"}, []string{"akworker"}},
		"*d":        {[]string{"sshd", "d"}, []string{"ssh", ""}},
		"a*b*c":     {[]string{"abc", "a-b-c", "abbcc", "aXbYbZc"}, []string{"acb", "ab", "bc", "abcd"}},
		"*":         {[]string{"", "anything", "/", "a/b/c", "[", `\`, "?", "日本"}, nil},
		"aa*aa":     {[]string{"aaaa", "aabaa"}, []string{"aaa", "aa"}},
		"**x**":     {[]string{"x", "axb", "/x/"}, []string{"", "ab"}},
		"a.c":       {[]string{"a.c"}, []string{"abc"}},
		"(sd-pam)*": {[]string{"(sd-pam)"}, []string{"sd-pam"}},
		"":          {[]string{""}, []string{"a", "*"}},
		"*/*":       {[]string{"/", "a/b", "kworker/0:1", "a/b/c"}, []string{"", "ab"}},
		"a/*/c":     {[]string{"a/b/c", "a//c", "a/b/b/c"}, []string{"a/c", "a-b-c"}},
		"[ab]*":     {[]string{"[ab]", "[ab]c"}, []string{"a", "b", "["}},
		"[*":        {[]string{"[", "[a"}, []string{"a", ""}},
		"a]*":       {[]string{"a]", "a]b"}, []string{"a", "a["}},
		"[^a]":      {[]string{"[^a]"}, []string{"b"}},
		"a-z":       {[]string{"a-z"}, []string{"b"}},
		"?":         {[]string{"?"}, []string{"a", "", "??"}},
		"a?c*":      {[]string{"a?c", "a?cd"}, []string{"abc"}},
		`\`:         {[]string{`\`}, []string{`\\`, ""}},
		`\*`:        {[]string{`\`, `\a`}, []string{"*", "a"}},
		`a\[b*`:     {[]string{`a\[b`, `a\[bc`}, []string{"a[b"}},
		"日*本":       {[]string{"日本", "日の本", "日/本"}, []string{"日", "本", "日本語"}},
		"é*":        {[]string{"é", "élan"}, []string{"e", "e\u0301lan"}},
		"*\xff":     {[]string{"\xff", "a\xff"}, []string{"\xfe", "\ufffd"}},
	} {
		c := snapshot.Config{Exclude: []string{"other", pattern}}
		for _, name := range names.matching {
			if c.RecordsProcess(name) {
				t.Errorf("%q does not exclude %q", pattern, name)
			}
		}
		for _, name := range names.other {
			if !c.RecordsProcess(name) {
				t.Errorf("%q excludes %q", pattern, name)
			}
		}
	}
	if !snapshot.DefaultConfig().RecordsProcess("init") {
		t.Error("the default config excludes a process")
	}
}

// referenceMatch is a simple implementation of patterns: a name matches if its parts between the stars of
// the pattern occur in order.
func referenceMatch(pattern, name string) bool {
	first, rest, found := strings.Cut(pattern, "*")
	if !found {
		return name == pattern
	}
	if !strings.HasPrefix(name, first) {
		return false
	}
	for i := len(first); i <= len(name); i++ {
		if referenceMatch(rest, name[i:]) {
			return true
		}
	}
	return false
}

func TestPatternsMatchLikeTheReference(t *testing.T) {
	special := rapid.StringOfN(rapid.RuneFrom([]rune(`ab*/\[]?^-.é日`)), 0, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		pattern, name := special.Draw(t, "pattern"), special.Draw(t, "name")
		if rapid.Bool().Draw(t, "derived") { // most random names do not match, so derive the name from the pattern
			name = strings.ReplaceAll(pattern, "*", name)
		}
		want := referenceMatch(pattern, name)
		if got := (snapshot.Config{Include: []string{pattern}}).RecordsProcess(name); got != want {
			t.Errorf("pattern %q, name %q: %t, want %t", pattern, name, got, want)
		}
	})
}

func TestValidateNamePatterns(t *testing.T) {
	longest := strings.Repeat("x", snapshot.MaxTextBytes)
	if err := snapshot.ValidateNamePatterns("exclude", []string{"kworker*", longest}); err != nil {
		t.Error(err)
	}
	for field, patterns := range map[string][]string{
		"exclude":    slices.Repeat([]string{"x"}, snapshot.MaxNamePatterns+1),
		"exclude[1]": {"x", ""},
		"exclude[0]": {longest + "x"},
	} {
		err := snapshot.ValidateNamePatterns("exclude", patterns)
		if invalid, ok := errors.AsType[*snapshot.ValidationError](err); !ok || invalid.Field != field {
			t.Errorf("got %v, want an error of %s", err, field)
		}
	}
}
