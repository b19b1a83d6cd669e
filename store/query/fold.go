package query

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Searches ignore case as defined by Unicode's simple case folding, which maps each character to one character.
// So ß matches ẞ but not ss, and σ and ς match Σ. İ, which has no simple folding, matches only itself. Characters
// outside of ASCII never match a letter of ASCII: the Kelvin sign matches only itself, and so does the long s.
//
// The database applies the same rules whatever its locale is, because Go chooses the characters that it replaces.

// foldCase returns a text with each character in one form for all its cases.
func foldCase(text string) string {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return strings.Map(foldRune, text)
		}
	}
	return strings.ToLower(text)
}

// foldRune returns the form that stands for all cases of a character.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		return unicode.ToLower(r)
	}
	folded := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		if other >= utf8.RuneSelf && other < folded {
			folded = other
		}
	}
	return folded
}

// otherCases returns the characters outside of ASCII that foldRune maps to a different character, folded.
func otherCases(folded rune) (others []rune) {
	if folded < utf8.RuneSelf {
		return nil
	}
	for other := unicode.SimpleFold(folded); other != folded; other = unicode.SimpleFold(other) {
		if other >= utf8.RuneSelf {
			others = append(others, other)
		}
	}
	return others
}
