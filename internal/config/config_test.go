package config_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/strictpath"
)

var update = flag.Bool("update", false, "write the generated files")

func TestReferenceIsFresh(t *testing.T) {
	text := checkFresh(t, "../../docs/settings.md", config.Reference)
	// The page has every flag of both command lines.
	for _, settings := range []any{
		&struct {
			config.Log
			config.Database
			config.Server
			config.Access
			config.OIDC
			config.TLS
		}{},
		&struct{ config.Agent }{},
	} {
		parser, err := kong.New(settings)
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range parser.Model.Flags {
			if flag.Name != "help" && !strings.Contains(text, "| `--"+flag.Name+"` | `"+flag.Envs[0]+"` |") {
				t.Errorf("--%s is missing", flag.Name)
			}
		}
	}
}

func TestEnvExampleIsFresh(t *testing.T) {
	text := checkFresh(t, "../../.env.example", config.EnvExample)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "# =") || strings.TrimSpace(line) == "#" {
			t.Errorf("a setting has no name or no description: %q", line)
		}
		if len(line) > 101 {
			t.Errorf("a line of %d characters: %q", len(line)-1, line)
		}
	}
}

// checkFresh compares a generated file with its generator, and returns its text.
func checkFresh(t *testing.T, path string, generate func() (string, error)) string {
	t.Helper()
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != want {
		t.Errorf("%s is stale: run go generate ./internal/config", path)
	}
	return string(text)
}

func TestDays(t *testing.T) {
	for text, want := range map[string]int{
		"0": 0, "7": 7, "7d": 7, "168h": 7, "1h": 1, "25h": 2, "3650d": 3650, "": -1, "d": -1, "-1": -1,
		"-1h": -1, "1w": -1, "99999999999999999999": -1, "2562047h": -1, "long": -1,
	} {
		got := config.Days(-1)
		if err := got.UnmarshalText([]byte(text)); int(got) != want || (err == nil) != (want >= 0) {
			t.Errorf("%q is %d days (%v), want %d", text, got, err, want)
		}
	}
	var settings config.Server
	parser, err := kong.New(&settings)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse([]string{"--retention", "7d"})
	if got := settings.Retention.Duration(); err != nil || got != 168*time.Hour {
		t.Errorf("--retention 7d is %s (%v)", got, err)
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
	const text = "# comment\nSNAPWATCH_LISTEN=127.0.0.1:1\nSNAPWATCH_TEST_KEPT=lost\n"
	if err := os.WriteFile(".env", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := config.LoadEnv(); err != nil || os.Getenv("SNAPWATCH_LISTEN") != "127.0.0.1:1" ||
		os.Getenv("SNAPWATCH_TEST_KEPT") != "kept" {
		t.Errorf("%v, %q, %q", err, os.Getenv("SNAPWATCH_LISTEN"), os.Getenv("SNAPWATCH_TEST_KEPT"))
	}
}

// Settings name programs that are run, so those of other users are not used.
func TestSettingsOfOtherUsersAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files of other users cannot be recognised")
	}
	t.Setenv("SNAPWATCH_LISTEN", "")
	if err := os.Unsetenv("SNAPWATCH_LISTEN"); err != nil {
		t.Fatal(err)
	}
	write := func(mode os.FileMode) string {
		dir := t.TempDir()
		path := filepath.Join(dir, ".env")
		if err := os.WriteFile(path, []byte("SNAPWATCH_LISTEN=127.0.0.1:1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	refused := map[string]string{"writable by everybody": write(0o666)}
	if os.Geteuid() == 0 {
		of := write(0o600)
		refused["of another user"] = of
		if err := os.Chown(filepath.Join(of, ".env"), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		dir := write(0o600)
		refused["in a directory of another user"] = dir
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	for name, dir := range refused {
		t.Chdir(dir)
		path := filepath.Join(dir, ".env")
		for _, load := range []func() error{
			config.LoadEnv, func() error { return config.LoadAgentFile([]string{"--config", path}) },
		} {
			if err := load(); !errors.Is(err, strictpath.ErrUnsafe) || os.Getenv("SNAPWATCH_LISTEN") != "" {
				t.Errorf("a file %s: %v, %q", name, err, os.Getenv("SNAPWATCH_LISTEN"))
			}
		}
	}
	// A link to a file of the current user is followed, as of a ConfigMap.
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(write(0o600), ".env"), filepath.Join(dir, ".env")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := config.LoadEnv(); err != nil || os.Getenv("SNAPWATCH_LISTEN") != "127.0.0.1:1" {
		t.Errorf("through a link: %v, %q", err, os.Getenv("SNAPWATCH_LISTEN"))
	}
}
