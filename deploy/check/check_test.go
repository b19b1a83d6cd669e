package check_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// root is the root folder of the repository.
const root = "../.."

// linkVersion is the linker flag that sets the version of the programs; the version follows it.
const linkVersion = "-X github.com/snapwatch/snapwatch/internal/buildinfo.version="

// programs is the folder with the programs. They are built once for all tests, as for images and packages.
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
		"go", "build", "-trimpath", "-ldflags", "-s -w "+linkVersion+"1.2.3", "-o", dir+"/", "./cmd/...",
	)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	programs = dir
	return storetest.Main(m)
}

// variables returns the environment variables of settings structs.
func variables(t testing.TB, settings ...any) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, group := range settings {
		flags, err := config.Flags(group)
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range flags {
			names[flag.Envs[0]] = true
		}
	}
	return names
}

func serverVariables(t testing.TB) map[string]bool {
	t.Helper()
	return variables(
		t, &config.Log{}, &config.Database{}, &config.Server{}, &config.Access{}, &config.OIDC{}, &config.TLS{},
	)
}

func agentVariables(t testing.TB) map[string]bool {
	t.Helper()
	return variables(t, &config.Log{}, &config.Agent{})
}

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

// run runs a command and returns its output.
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
