package snapshot_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

var update = flag.Bool("update", false, "write docs/limits.md and the replay cases")

// docs/limits.md lists the limits that the code enforces.
func TestLimitsAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Limits on posts from agents\n\n" +
		"The server rejects a post that exceeds a limit with a 4xx response, which names the field and the limit.\n" +
		"It then stores nothing of the post. `make generate` writes this page from `snapshot/limits.go`.\n\n" +
		"| Limit | Value |\n|---|---|\n")
	for _, limit := range snapshot.Limits() {
		fmt.Fprintf(&b, "| %s | %s |\n", limit.Name, strings.TrimSpace(fmt.Sprint(limit.Value)+" "+limit.Unit))
	}
	if *update {
		if err := os.WriteFile("../docs/limits.md", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile("../docs/limits.md")
	if err != nil || string(kept) != b.String() {
		t.Errorf("docs/limits.md is stale: run make generate (%v)", err)
	}
}
