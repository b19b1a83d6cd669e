package config_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/snapwatch/snapwatch/internal/config"
)

var update = flag.Bool("update", false, "write .env.example anew")

func TestReferenceIsFresh(t *testing.T) {
	const path = "../../docs/settings.md"
	if *update {
		if err := os.WriteFile(path, []byte(config.Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != config.Reference() {
		t.Error("docs/settings.md is stale: run go generate ./internal/config")
	}
	// The names are those of the command line.
	var line struct {
		config.Log
		config.Database
		config.Server
		config.OIDC
		config.TLS
	}
	var agent struct{ config.Agent }
	for _, of := range []any{&line, &agent} {
		parser, err := kong.New(of)
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range parser.Model.Flags {
			if flag.Name != "help" && !strings.Contains(string(text), "| `--"+flag.Name+"` | `"+flag.Envs[0]+"` |") {
				t.Errorf("--%s is not in it", flag.Name)
			}
		}
	}
}

func TestEnvExampleIsFresh(t *testing.T) {
	const path = "../../.env.example"
	if *update {
		if err := os.WriteFile(path, []byte(config.EnvExample()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != config.EnvExample() {
		t.Error(".env.example is stale: run go generate ./internal/config")
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "# =") || strings.TrimSpace(line) == "#" {
			t.Errorf("a setting lacks its name or its help: %q", line)
		}
	}
}

func TestLog(t *testing.T) {
	var b bytes.Buffer
	logger := config.Log{Level: "warn", Format: "json"}.New(&b)
	logger.Info("quiet")
	logger.Warn("loud", "machine_id", "m")
	if got := b.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"machine_id":"m"`) {
		t.Errorf("logged %s", got)
	}
}

func TestDirs(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/xdg")
	got, err := config.Database{}.Dir()
	want := "/xdg/snapwatch"
	if os.Geteuid() == 0 {
		want = "/var/lib/snapwatch"
	}
	if err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if got, err := (config.Agent{StateDir: "here"}).Dir(); err != nil || !filepath.IsAbs(got) {
		t.Errorf("a relative directory became %q, %v", got, err)
	}
}

func TestLoadEnv(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := config.LoadEnv(); err != nil {
		t.Fatalf("without a .env: %v", err)
	}
	t.Setenv("SNAPWATCH_LISTEN", "")
	t.Setenv("SNAPWATCH_TEST_KEPT", "kept")
	if err := os.Unsetenv("SNAPWATCH_LISTEN"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(".env", []byte("# comment\nSNAPWATCH_LISTEN=127.0.0.1:1\nSNAPWATCH_TEST_KEPT=lost\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := config.LoadEnv(); err != nil || os.Getenv("SNAPWATCH_LISTEN") != "127.0.0.1:1" ||
		os.Getenv("SNAPWATCH_TEST_KEPT") != "kept" {
		t.Errorf("%v, %q, %q", err, os.Getenv("SNAPWATCH_LISTEN"), os.Getenv("SNAPWATCH_TEST_KEPT"))
	}
}
