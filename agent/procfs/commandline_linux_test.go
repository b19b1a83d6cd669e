package procfs

import (
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

// The arguments of a real process are recorded up to the limit, and cut visibly.
func TestArgumentsOfAProcess(t *testing.T) {
	const begin = "sh -c echo up; read x sh "
	r, _ := realReader(t)
	for size, want := range map[int]string{
		20_000: begin + strings.Repeat("a", 20_000),
		40_000: begin + strings.Repeat("a", snapshot.MaxCommandLineBytes-len(begin)-len(truncated)) + truncated,
	} {
		c := startChild(t, "sh", "-c", "echo up; read x", "sh", strings.Repeat("a", size))
		if got := listed(t, r, c.pid).CommandLine; got != want {
			t.Errorf("of %d bytes, %d are recorded that end with %q", size, len(got), got[max(len(got)-30, 0):])
		}
	}
}
