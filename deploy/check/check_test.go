package check_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// root is the project's folder.
const root = "../.."

// programs is the folder with the two programs, built as images and packages have
// them, once for all tests.
var programs string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "snapwatch-check-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	build := exec.Command(
		"go", "build", "-trimpath", "-ldflags", "-s -w -X github.com/snapwatch/snapwatch/internal/buildinfo.version=1.2.3", "-o", dir+"/", "./cmd/...",
	)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	programs = dir
	return storetest.Main(m)
}

// settings are the environment variables that a program knows.
func settings(groups ...any) map[string]bool {
	names := make(map[string]bool)
	for _, group := range groups {
		kind := reflect.TypeOf(group)
		for i := range kind.NumField() {
			if name := kind.Field(i).Tag.Get("env"); name != "" {
				names[name] = true
			}
		}
	}
	return names
}

func serverSettings() map[string]bool {
	return settings(config.Log{}, config.Database{}, config.Server{}, config.Access{}, config.OIDC{}, config.TLS{})
}
func agentSettings() map[string]bool { return settings(config.Log{}, config.Agent{}) }

func read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func exists(t testing.TB, name string) bool {
	t.Helper()
	_, err := os.Stat(name)
	return err == nil
}

// run runs a command and returns what it prints.
func run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
