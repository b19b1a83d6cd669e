// Package clean makes values that were read from the system fit the limits of the wire format.
package clean

import (
	"strings"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Text returns s as valid UTF-8 without NUL bytes, cut to at most limit bytes.
func Text(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	s = strings.ToValidUTF8(s, "")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", " ")
	}
	return s
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
