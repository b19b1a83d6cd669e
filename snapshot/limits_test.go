package snapshot_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

var update = flag.Bool("update", false, "write docs/limits.md and the replay cases anew")

// The reference of limits says what the code enforces.
func TestLimitsAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString(
		"# Limits on what an agent may send\n\nMade from package snapshot by `make generate`. A post that passes one is refused with a 4xx that names the field and the limit; nothing of it is stored.\n\n| what | limit |\n|---|---|\n",
	)
	for _, limit := range snapshot.Limits() {
		fmt.Fprintf(&b, "| %s | %s |\n", limit.What, strings.TrimSpace(fmt.Sprint(limit.Value)+" "+limit.Unit))
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
