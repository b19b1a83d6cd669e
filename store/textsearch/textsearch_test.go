package textsearch

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// The pattern of LIKE matches what the matcher in memory matches; see also TestConditionEqualsMatcher of package query.
func TestLike(t *testing.T) {
	for text, want := range map[string]string{
		"": "%%", "NGINX": "%nginx%", "a_b%": `%a\_b\%%`, "*.so": "%.so", "a?c": "a_c",
		"[*]": "%*%", "a[?]*": "a?%", "[a]": "%[a]%", `\server`: `%\\server%`, `\`: `%\\%`, "Ž": "%Ž%", "ž?日": "Ž_日",
	} {
		if got := Parse(text).like(false); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got := Parse("*žk日").like(true); got != "%_k日" {
		t.Errorf("in any case: %q", got)
	}
}

// Case folding is Unicode's simple case folding, except that it does not map other characters to ASCII.
func TestFold(t *testing.T) {
	for r := rune(1); r <= unicode.MaxRune; r++ {
		folded := foldRune(r)
		if folded != r && !strings.EqualFold(string(folded), string(r)) {
			t.Errorf("%q is folded to %q", r, folded)
		}
		if foldRune(folded) != folded {
			t.Errorf("%q is not folded in one step", r)
		}
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			if ascii := r < utf8.RuneSelf; ascii == (other < utf8.RuneSelf) && foldRune(other) != folded {
				t.Errorf("%q and %q are folded to %q and %q", r, other, folded, foldRune(other))
			}
		}
	}
}
