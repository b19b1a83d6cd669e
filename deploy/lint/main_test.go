package main

import (
	"slices"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	rules, err := parseRules("# comment\n\n\\btells?\\b => reports\n")
	if err != nil || len(rules) != 1 {
		t.Fatalf("%d rules, %v", len(rules), err)
	}
	const goFile = "package a\n\n// It tells.\nvar tell = `one\n" + // words:allow the test's input
		"it Tells` + \"tell\" // words:allow quotes a user\nvar s = \"tell\" // words:allow\n"
	for name, test := range map[string]struct {
		text string
		want []string // place, and whether the reason is missing
	}{
		"a.go": {goFile, []string{"a.go:3:", "a.go:6: words:allow needs a reason"}},
		"a.md": {"fine\nIt tells you\nuntellable\n", []string{"a.md:2:"}}, // words:allow the test's input
		"b.md": {"It tells you <!-- words:allow: a quotation -->\n", nil},
	} {
		got := check(rules, name, []byte(test.text))
		if len(got) != len(test.want) || !slices.EqualFunc(got, test.want, strings.HasPrefix) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	for _, text := range []string{"no arrow", "( => broken"} {
		if _, err := parseRules(text); err == nil {
			t.Errorf("the rule %q was accepted", text)
		}
	}
}

func TestBannedWords(t *testing.T) {
	t.Parallel()
	rules, err := parseRules(banned)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"the server tells the agent":   true, // words:allow example
		"keys that count":              true, // words:allow example
		"the link counts once":         true, // words:allow example
		"counts the rows":              false,
		"a certificate chain":          false,
		"the head of the shelf":        true, // words:allow example
		"notified again, and reported": false,
	} {
		found := slices.ContainsFunc(rules, func(r rule) bool { return r.pattern.MatchString(text) })
		if found != want {
			t.Errorf("%q: found %v, want %v", text, found, want)
		}
	}
}
