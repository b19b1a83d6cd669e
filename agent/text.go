package agent

import "strings"

// maxCommandLine is how much of a command line is kept, in bytes.
const maxCommandLine = 4096

// clean makes any bytes fit to be sent: valid UTF-8, without NUL, and no longer
// than limit bytes.
func clean(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	s = strings.ToValidUTF8(s, "")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", " ")
	}
	return s
}
