package textsearch

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fold returns a text with each character in one form for all its cases.
func Fold(text string) string {
	folded := []byte(text)
	for i, c := range folded {
		if c >= utf8.RuneSelf {
			return strings.Map(foldRune, text)
		}
		if 'A' <= c && c <= 'Z' {
			folded[i] = c - 'A' + 'a'
		}
	}
	return string(folded)
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
