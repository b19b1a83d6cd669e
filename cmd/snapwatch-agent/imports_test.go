package main_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The architecture as imports: data flows one way, and the agent stays small.
func TestImports(t *testing.T) {
	const ours = "github.com/snapwatch/snapwatch/"
	for _, rule := range []struct {
		folder, reason string
		forbidden      []string
	}{
		{"cmd/snapwatch-agent", "the agent is a small binary", []string{"github.com/gin-gonic/gin", "github.com/jackc/pgx/v5", "github.com/danielgtaylor/huma/v2", ours + "store", ours + "store/schema"}},
		{"snapshot", "the vocabulary depends on nothing of ours, and does no I/O", []string{ours + "store", ours + "agent", ours + "api", ours + "problem", "net/http", "database/sql"}},
		{"agent", "the agent speaks to the server only over the wire", []string{ours + "store", ours + "ingest", ours + "api", ours + "broadcaster"}},
		{"ingest", "ingest writes through an interface", []string{ours + "store", ours + "api", "github.com/jackc/pgx/v5"}},
		{"broadcaster", "the live view reads through an interface", []string{ours + "store", ours + "api", ours + "ingest"}},
		{"auth", "auth knows nothing of what is guarded", []string{ours + "api", ours + "ingest", ours + "broadcaster", ours + "agent", "github.com/gin-gonic/gin"}},
		{"store/writer", "the writer does not depend on the queries", []string{ours + "store", ours + "store/query", ours + "api"}},
		{"store/query", "queries do not depend on the writer", []string{ours + "store", ours + "store/writer", ours + "api"}},
		{"store/backend", "backends are below writer and query", []string{ours + "store", ours + "store/writer", ours + "store/query"}},
		{"store/schema", "schema is below everything else of the store", []string{ours + "store", ours + "store/writer", ours + "store/query", ours + "store/backend"}},
		{"store/accounts", "rows, and no rules", []string{ours + "auth", ours + "api"}},
		{"store", "the store knows nothing of HTTP", []string{ours + "api", ours + "ingest", ours + "broadcaster", "github.com/gin-gonic/gin"}},
	} {
		out, err := exec.Command("go", "list", "-deps", ours+rule.folder).Output()
		if err != nil {
			t.Fatal(err)
		}
		deps := strings.Fields(string(out))
		for _, dep := range deps {
			for _, forbidden := range rule.forbidden {
				if dep == forbidden {
					t.Errorf("%s imports %s: %s", rule.folder, dep, rule.reason)
				}
			}
		}
	}
}
