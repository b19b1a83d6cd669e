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

// Counter converts a counter or a size. A value above snapshot.MaxSafeInteger becomes snapshot.MaxSafeInteger.
func Counter(n uint64) int64 { return int64(min(n, snapshot.MaxSafeInteger)) }
