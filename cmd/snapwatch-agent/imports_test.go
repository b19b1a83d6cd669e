package main_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/snapwatch/snapwatch/"

// rule says which packages a package must not import, directly or indirectly.
type rule struct {
	folder, reason string
	forbidden      []string // packages, or folders of this module
}

// rules are the architecture: data flows in one direction, and the agent is a small program.
var rules = []rule{
	{"cmd/snapwatch-agent", "the agent is a small program", []string{
		"github.com/gin-gonic/gin", "github.com/jackc/pgx/v5", "github.com/danielgtaylor/huma/v2",
		"store", "store/schema",
	}},
	{"snapshot", "the vocabulary is below everything else, and does no I/O", []string{
		"store", "agent", "api", "internal/problem", "net/http", "database/sql",
	}},

	{"agent", "the agent and the server share only the wire format", []string{"store", "ingest", "api", "broadcaster"}},
	{"agent/procfs", "procfs only reads processes", []string{
		"agent", "agent/collect", "agent/delivery", "agent/exits", "net/http",
	}},
	{"agent/exits", "exits only reads exited processes", []string{
		"agent", "agent/collect", "agent/delivery", "net/http",
	}},
	{"agent/collect", "samples do not depend on their delivery", []string{"agent", "agent/delivery", "net/http"}},
	{"agent/delivery", "delivery does not depend on how snapshots are made", []string{
		"agent", "agent/collect", "agent/procfs", "agent/exits",
	}},
	{"agent/delivery/spool", "the spool stores any records", []string{
		"agent", "agent/delivery", "snapshot", "net/http",
	}},

	{"ingest", "ingest writes through an interface", []string{"store", "api", "github.com/jackc/pgx/v5"}},
	{"broadcaster", "the live view reads through an interface", []string{"store", "api", "ingest"}},
	{"auth", "auth does not depend on what it guards", []string{
		"api", "ingest", "broadcaster", "agent", "github.com/gin-gonic/gin",
	}},
	{"store/writer", "the writer does not depend on the queries", []string{"store", "store/query", "api"}},
	{"store/query", "queries do not depend on the writer", []string{"store", "store/writer", "api"}},
	{"store/backend", "backends are below writer and query", []string{"store", "store/writer", "store/query"}},
	{"store/schema", "schema is below everything else in the store", []string{
		"store", "store/writer", "store/query", "store/backend",
	}},
	{"store/accounts", "accounts stores rows without rules", []string{"auth", "api"}},
	{"store", "the store does not depend on HTTP", []string{
		"api", "ingest", "broadcaster", "github.com/gin-gonic/gin",
	}},
}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	imports := make(map[string][]string) // by package: all that it imports, directly or indirectly
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		imports[fields[0]] = fields[1:]
	}
	for _, rule := range rules {
		all, found := imports[module+rule.folder]
		if !found {
			t.Errorf("there is no package %s", rule.folder)
		}
		for _, forbidden := range rule.forbidden {
			path := forbidden
			if _, ours := imports[module+forbidden]; ours {
				path = module + forbidden
			} else if !strings.Contains(forbidden, ".") && forbidden != "net/http" && forbidden != "database/sql" {
				t.Errorf("the rule of %s names %s, which does not exist", rule.folder, forbidden)
			}
			if slices.Contains(all, path) {
				t.Errorf("%s imports %s, but %s", rule.folder, path, rule.reason)
			}
		}
	}
}
