package buildinfo

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

func TestInfo(t *testing.T) {
	t.Parallel()
	const (
		hash, at = "fa6601c2f8d3b7e90e1f1a3d44a2bcb1f6b0c9d8", "2026-11-25T18:23:00Z"
		pseudo   = "v0.0.0-20261125182300-fa6601c2f8d3"
		dev      = next + "-dev+fa6601c"
		date     = " (2026-11-25)"
	)
	commit := []debug.BuildSetting{{Key: "vcs.revision", Value: hash}, {Key: "vcs.time", Value: at}}
	modified := append(commit[:2:2], debug.BuildSetting{Key: "vcs.modified", Value: "true"})
	clean := append(commit[:2:2], debug.BuildSetting{Key: "vcs.modified", Value: "false"})
	for name, test := range map[string]struct {
		linked, module string
		settings       []debug.BuildSetting
		want, printed  string
	}{
		"release":             {"1.2.3", "(devel)", clean, "1.2.3", "1.2.3" + date},
		"release, with v":     {"v1.2.3", "(devel)", nil, "1.2.3", "1.2.3"},
		"commit without tags": {"", pseudo, clean, dev, dev + date},
		"uncommitted changes": {"", pseudo + "+dirty", modified, dev + ".modified", dev + ".modified" + date},
		"commit after a tag":  {"", "v1.2.4-0.20261125182300-fa6601c2f8d3", clean, dev, dev + date},
		"old Go":              {"", "(devel)", clean, dev, dev + date},
		"tagged commit":       {"", "v1.2.3", clean, "1.2.3", "1.2.3" + date},
		"tag, modified":       {"", "v1.2.3+dirty", modified, dev + ".modified", dev + ".modified" + date},
		"go install of a tag": {"", "v1.2.3", nil, "1.2.3", "1.2.3"},
		"go install @main":    {"", pseudo, nil, dev, dev},
		"source archive":      {"", "(devel)", nil, next + "-dev", next + "-dev"},
	} {
		info := infoOf(test.linked, &debug.BuildInfo{Main: debug.Module{Version: test.module}, Settings: test.settings})
		if info.Version != test.want || info.String() != test.printed {
			t.Errorf("%s: %q, printed %q, want %q and %q", name, info.Version, info, test.want, test.printed)
		}
		if test.settings != nil && (info.Revision != hash || info.Time != at) {
			t.Errorf("%s: revision %q of %q", name, info.Revision, info.Time)
		}
	}
	if info := infoOf("", nil); info.Version != next+"-dev" {
		t.Errorf("without build information: %+v", info)
	}
}

// Go itself records the commit of a shallow clone without tags, and nothing outside a repository.
func TestBuilds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append(
			os.Environ(), "GOFLAGS=", "GOWORK=off",
			"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir),
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org",
			"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
		)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	source, err := os.ReadFile("buildinfo.go")
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/snapwatch/snapwatch"
	for name, text := range map[string]string{
		"go.mod":                          "module " + module + "\n\ngo 1.26\n",
		"internal/buildinfo/buildinfo.go": string(source),
		"main.go": "package main\n\nimport \"" + module + "/internal/buildinfo\"\n\n" +
			"func main() { print(buildinfo.Version()) }\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "program")
	version := func(flags ...string) string {
		t.Helper()
		run("go", append(append([]string{"build"}, flags...), "-o", program, ".")...)
		return run(program)
	}
	if got := version(); got != next+"-dev" {
		t.Errorf("without a repository: %s", got)
	}
	run("git", "init", "-q")
	run("git", "add", ".")
	run("git", "commit", "-q", "-m", "first")
	hash := run("git", "rev-parse", "HEAD")[:7]
	if got := version("-buildvcs=true", "-trimpath"); got != next+"-dev+"+hash {
		t.Errorf("in a repository without tags: %s", got)
	}
	if got := version("-ldflags", "-X "+module+"/internal/buildinfo.version=1.2.3"); got != "1.2.3" {
		t.Errorf("with the linker's version: %s", got)
	}
	if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(next) {
		t.Errorf("the next version is %q", next)
	}
}
