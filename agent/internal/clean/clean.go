// Package clean makes values that were read from the system fit the limits of the wire format.
package clean

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Text returns s as valid UTF-8 without NUL bytes, cut to at most limit bytes. Invalid bytes become escapes such
// as \xff, and NUL becomes a blank.
func Text(s string, limit int) string {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		s = escape(s, limit)
	}
	return Cut(s, limit)
}

// escape returns the start of s with escapes, cut at the first character that ends after limit bytes.
func escape(s string, limit int) string {
	var out strings.Builder
	for at := 0; at < len(s); {
		r, size := utf8.DecodeRuneInString(s[at:])
		part := s[at : at+size]
		switch {
		case r == utf8.RuneError && size == 1:
			part = fmt.Sprintf(`\x%02x`, s[at])
		case r == 0:
			part = " "
		}
		if out.Len()+len(part) > limit {
			return out.String()
		}
		out.WriteString(part)
		at += size
	}
	return out.String()
}

// Cut cuts valid UTF-8 to at most limit bytes, between two characters.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// Size converts a size. It returns nil for one above snapshot.MaxSafeInteger, such as a difference that is less than 0.
func Size(n uint64) *int64 {
	if n > snapshot.MaxSafeInteger {
		return nil
	}
	return new(int64(n))
}

// Counter converts a counter or a size. A value above snapshot.MaxSafeInteger becomes snapshot.MaxSafeInteger.
func Counter(n uint64) int64 { return int64(min(n, snapshot.MaxSafeInteger)) }
