package auth

import (
	"strings"
	"testing"
)

// Only the first characters of a password are rated, because the time grows with the square of their number.
func TestRatedCharacters(t *testing.T) {
	const strong = "x7Kq9pLm2Rtz"
	for padding, want := range map[int]bool{ratedCharacters - len(strong): false, ratedCharacters: true} {
		if got := isCommon(strings.Repeat("a", padding)+strong, nil); got != want {
			t.Errorf("a strong password after %d other characters: common is %v, want %v", padding, got, want)
		}
	}
}
