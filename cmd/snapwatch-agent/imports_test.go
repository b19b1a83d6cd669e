package main_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/snapwatch/snapwatch/"

// imports is the architecture: it lists the packages of this module that each package imports, and nothing else. Data
// flows in one direction: agent → ingest → store → broadcaster and api → ui. A new import needs a line here, and a
// reason in the commit message.
var imports = map[string]string{
	// The wire format, the schema, and helpers.
	"snapshot":                 "",
	"migrations":               "",
	"internal/admin":           "internal/bearer",
	"internal/backoff":         "",
	"internal/basepath":        "",
	"internal/bearer":          "",
	"internal/buildinfo":       "",
	"internal/cachemetrics":    "",
	"internal/clientaddr":      "",
	"internal/config":          "internal/logthrottle internal/strictpath",
	"internal/connlimit":       "internal/clientaddr",
	"internal/finding":         "",
	"internal/health":          "",
	"internal/histogram":       "",
	"internal/logthrottle":     "",
	"internal/problem":         "snapshot",
	"internal/secretform":      "",
	"internal/strictpath":      "",
	"internal/tlscert":         "internal/strictpath",
	"internal/wake":            "",
	"agent/internal/clean":     "snapshot",
	"agent/internal/guard":     "",
	"agent/internal/statefile": "internal/strictpath",

	// The agent shares only the wire format with the server.
	"agent/procevents": "",
	"agent/procfs": "agent/internal/clean agent/internal/statefile agent/procevents internal/secretform " +
		"snapshot",
	"agent/exits":          "agent/procevents agent/procfs snapshot",
	"agent/bpf":            "agent/exits agent/procfs snapshot",
	"agent/collect":        "agent/bpf agent/exits agent/internal/clean agent/internal/guard agent/procfs snapshot",
	"agent/delivery/spool": "internal/strictpath",
	"agent/delivery":       "agent/delivery/spool agent/internal/statefile internal/backoff internal/wake snapshot",
	"agent": "agent/bpf agent/collect agent/delivery agent/exits agent/internal/clean agent/internal/statefile " +
		"agent/procfs internal/finding internal/strictpath internal/wake snapshot",

	// Ingest and the live view use the store through their own interfaces.
	"ingest": "internal/histogram internal/problem internal/wake snapshot",
	"broadcaster": "internal/backoff internal/histogram internal/pgsession internal/problem internal/wake snapshot " +
		"store/accounts",

	// The store does not depend on HTTP. Writer and queries do not depend on each other.
	"store/schema":       "snapshot",
	"store/backend":      "store/schema",
	"store/accounts":     "store/textsearch",
	"store/textsearch":   "",
	"internal/pgsession": "",
	"store/embedded":     "internal/backoff internal/pgsession internal/strictpath",
	"store/migrator":     "migrations",
	"store/writer":       "internal/cachemetrics internal/histogram internal/wake snapshot store/backend store/schema",
	"store/query":        "internal/histogram snapshot store/backend store/schema store/textsearch",
	"store": "internal/histogram internal/pgsession internal/wake snapshot store/accounts store/backend " +
		"store/migrator store/query store/writer",

	// What operators use reads the store, and changes nothing.
	"store/inspection": "internal/pgsession",
	"internal/doctor": "internal/admin internal/basepath internal/config internal/finding internal/strictpath " +
		"internal/tlscert store store/backend store/embedded store/inspection store/query",
	"internal/supportbundle": "internal/config internal/doctor internal/finding internal/secretform store " +
		"store/embedded store/inspection",

	// auth does not depend on what it protects.
	"auth": "internal/cachemetrics internal/clientaddr internal/secretform snapshot store/accounts",
	"api": "auth broadcaster internal/basepath internal/clientaddr internal/health internal/histogram " +
		"internal/problem snapshot store store/accounts store/backend store/query",
	"ui": "internal/basepath",

	"cmd/snapwatch": "api auth broadcaster ingest internal/admin internal/backoff internal/basepath " +
		"internal/buildinfo internal/config internal/connlimit internal/doctor internal/finding internal/health " +
		"internal/pgsession internal/problem internal/strictpath internal/supportbundle internal/tlscert " +
		"store store/accounts store/embedded ui",
	"cmd/snapwatch-agent": "agent deploy/systemd internal/buildinfo internal/config internal/finding snapshot",
	"deploy/systemd":      "",
}

// unrestricted packages are not part of the programs.
var unrestricted = []string{
	"agent/agenttest", "api/apitest", "bench", "bench/agent", "bench/chaos", "bench/product", "bench/storage",
	"bench/truth", "grafana", "internal/docstest", "internal/metricstest", "internal/testlog", "internal/testport",
	"internal/testwait", "internal/tlscert/tlscerttest", "snapshot/snapshottest", "store/storetest",
}

// forbidden lists packages outside this module that a package must not depend on, not even indirectly.
var forbidden = map[string][]string{
	"cmd/snapwatch-agent": {
		"github.com/gin-gonic/gin", "github.com/jackc/pgx/v5", "github.com/danielgtaylor/huma/v2",
	},
	"agent/procevents":     {"net/http"},
	"agent/procfs":         {"net/http"},
	"agent/exits":          {"net/http"},
	"agent/collect":        {"net/http"},
	"agent/delivery/spool": {"net/http"},
	"snapshot":             {"net/http", "database/sql"},
	"ingest":               {"github.com/jackc/pgx/v5"},
	"auth":                 {"github.com/gin-gonic/gin"},
	"store":                {"github.com/gin-gonic/gin"},
}

// goList returns a list per package of this module: its imports, or with Deps also the indirect ones.
func goList(t *testing.T, field string) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .`+field+` " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		packages[strings.TrimPrefix(fields[0], module)] = fields[1:]
	}
	return packages
}

func TestImportsWithinTheModule(t *testing.T) {
	found := goList(t, "Imports")
	for folder, all := range found {
		if slices.Contains(unrestricted, folder) {
			continue
		}
		want, listed := imports[folder]
		if !listed {
			t.Errorf("%s is not in the list of imports", folder)
		}
		var got []string
		for _, path := range all {
			if ours, ok := strings.CutPrefix(path, module); ok {
				got = append(got, ours)
			}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s imports %q, want %q", folder, text, want)
		}
	}
	for folder := range imports {
		if found[folder] == nil {
			t.Errorf("there is no package %s", folder)
		}
	}
}

func TestForbiddenDependencies(t *testing.T) {
	found := goList(t, "Deps")
	for folder, list := range forbidden {
		if found[folder] == nil {
			t.Errorf("there is no package %s", folder)
		}
		for _, path := range list {
			if slices.Contains(found[folder], path) {
				t.Errorf("%s depends on %s", folder, path)
			}
		}
	}
}
