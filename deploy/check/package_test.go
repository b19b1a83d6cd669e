package check_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func release(t testing.TB) config.Project {
	t.Helper()
	p, err := config.Load(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// goreleaser accepts the release's file, and the files and builds that it names exist.
func TestReleaseFilesExist(t *testing.T) {
	t.Parallel()
	p := release(t)
	ids := make(map[string]bool)
	for _, build := range p.Builds {
		ids[build.ID] = true
		if !exists(t, filepath.Join(root, build.Main, "main.go")) {
			t.Errorf("%s: no %s", build.ID, build.Main)
		}
		if !strings.Contains(strings.Join(build.Ldflags, " "), linkVersion) ||
			!slices.Contains(build.Env, "CGO_ENABLED=0") {
			t.Errorf("%s is built with other flags than make uses", build.ID)
		}
	}
	for _, archive := range p.Archives {
		for _, file := range archive.Files {
			if found, err := filepath.Glob(filepath.Join(root, file.Source)); err != nil || len(found) == 0 {
				t.Errorf("archive %s: no %s", archive.ID, file.Source)
			}
		}
		for _, id := range archive.IDs {
			if !ids[id] {
				t.Errorf("archive %s has the build %s, which does not exist", archive.ID, id)
			}
		}
	}
	if len(p.NFPMs) != 2 || len(p.SBOMs) == 0 || p.Checksum.NameTemplate == "" {
		t.Errorf("%d packages, %d SBOMs, checksums in %q", len(p.NFPMs), len(p.SBOMs), p.Checksum.NameTemplate)
	}
}

// pack builds a package of the release with the programs of these tests.
func pack(t testing.TB, name, format string) string {
	t.Helper()
	p := release(t)
	i := slices.IndexFunc(p.NFPMs, func(n config.NFPM) bool { return n.PackageName == name })
	if i < 0 {
		t.Fatalf("no package %s", name)
	}
	n := p.NFPMs[i]
	contents := files.Contents{
		{
			Source:      filepath.Join(programs, name),
			Destination: filepath.Join(n.Bindir, name),
			FileInfo:    &files.ContentFileInfo{Mode: 0o755},
		},
	}
	for _, content := range n.Contents {
		c := files.Content{
			Source:      filepath.Join(absolute(t, root), content.Source),
			Destination: content.Destination,
			Type:        content.Type,
		}
		if content.FileInfo.Mode != 0 {
			c.FileInfo = &files.ContentFileInfo{Mode: os.FileMode(content.FileInfo.Mode)}
		}
		if strings.Contains(content.Source, "bin/share/") {
			c.Source = filepath.Join(shareFolder(t), filepath.Base(content.Source))
		}
		contents = append(contents, &c)
	}
	script := func(file string) string { return filepath.Join(absolute(t, root), file) }
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: name, Arch: "amd64", Platform: "linux", Version: "1.2.3", Section: n.Section, Priority: n.Priority,
		Maintainer: n.Maintainer, Description: n.Description, Homepage: n.Homepage, License: n.License,
		Overridables: nfpm.Overridables{
			Depends:    n.Dependencies,
			Recommends: n.Recommends,
			Suggests:   n.Suggests,
			Contents:   contents,
			Scripts: nfpm.Scripts{
				PostInstall: script(n.Scripts.PostInstall),
				PreRemove:   script(n.Scripts.PreRemove),
			},
		},
	})
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		t.Fatal(err)
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), packager.ConventionalFileName(info))
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := packager.Package(info, out); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

// shareFolder generates man pages and completion as the release does.
func shareFolder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	run(t, dir, "sh", filepath.Join(absolute(t, root), "deploy/package/share.sh"), programs)
	return filepath.Join(dir, "bin/share")
}

func TestManAndCompletion(t *testing.T) {
	t.Parallel()
	share := shareFolder(t)
	for _, name := range []string{"snapwatch", "snapwatch-agent"} {
		page := run(t, share, "gzip", "-dc", name+".1.gz")
		if !strings.HasPrefix(page, ".TH ") || !strings.Contains(page, "Log format") {
			t.Errorf("%s: %.200s", name, page)
		}
		for shell, want := range map[string]string{
			"bash": "-C /usr/bin/" + name + " " + name,
			"zsh":  "#compdef " + name + "\n",
			"fish": "/usr/bin/" + name + "\n",
		} {
			if text := run(t, share, "cat", name+"."+shell); !strings.Contains(text, want) {
				t.Errorf("%s for %s: %s", name, shell, text)
			}
		}
	}
	complete := exec.CommandContext(t.Context(), filepath.Join(programs, "snapwatch"))
	complete.Env = append(os.Environ(), "COMP_LINE=snapwatch mig")
	if out, err := complete.Output(); err != nil || strings.TrimSpace(string(out)) != "migrate" {
		t.Errorf("mig is completed to %q, %v", out, err)
	}
}

func TestRPM(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"snapwatch", "snapwatch-agent"} {
		if info, err := os.Stat(pack(t, name, "rpm")); err != nil || info.Size() < 1<<20 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// unit returns the settings of a systemd unit. A setting can have several values.
func unit(t testing.TB, file string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	settings := make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			settings[name] = append(settings[name], value)
		}
	}
	return settings
}

// dpkg installs the Debian packages into a tree of the test's own. Then both services run with the command
// and the environment of their units, and the agent reports.
func TestDebianPackages(t *testing.T) {
	t.Parallel()
	tree := storetest.Dir(t)
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		if err := os.MkdirAll(filepath.Join(tree, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "var/lib/dpkg/status"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dpkg := []string{"--root=" + tree, "--force-not-root", "--force-script-chrootless"}
	packages := []string{pack(t, "snapwatch", "deb"), pack(t, "snapwatch-agent", "deb")}
	install := append(dpkg[:3:3], "--force-depends", "--force-architecture", "-i")
	run(t, tree, "dpkg", append(install, packages...)...)
	out := run(t, tree, "dpkg-query", "--root="+tree, "-W", "-f", "${Package} ${Version} ${Status}\n")
	for _, name := range []string{"snapwatch", "snapwatch-agent"} {
		if !strings.Contains(out, name+" 1.2.3 install ok installed\n") {
			t.Fatal(out)
		}
		version := run(t, tree, filepath.Join(tree, "usr/bin", name), "--version")
		if !strings.HasPrefix(version, "1.2.3") {
			t.Errorf("%s has the version %s", name, version)
		}
	}
	for _, name := range []string{
		"/etc/snapwatch/snapwatch.env", "/etc/snapwatch/agent.env", "/usr/share/man/man1/snapwatch.1.gz",
		"/usr/share/bash-completion/completions/snapwatch-agent", "/usr/share/doc/snapwatch/alerts.md",
		"/usr/share/doc/snapwatch/copyright", "/usr/share/doc/snapwatch-agent/copyright",
		"/usr/share/snapwatch/grafana/fleet.json",
	} {
		if !exists(t, filepath.Join(tree, name)) {
			t.Errorf("%s is not installed", name)
		}
	}
	checkEnvironment(t, filepath.Join(tree, "/etc/snapwatch/snapwatch.env"), serverVariables(t))
	checkEnvironment(t, filepath.Join(tree, "/etc/snapwatch/agent.env"), agentVariables(t))
	verify(t, tree, "snapwatch")
	verify(t, tree, "snapwatch-agent")

	const (
		key          = "SNAPWATCH_ENROLMENT_KEY=a key of the settings, for the agent"
		metricsToken = "a token of the settings, for Prometheus"
	)
	server := service(
		t, tree, "snapwatch", "SNAPWATCH_LISTEN=127.0.0.1:0", key, "SNAPWATCH_METRICS_TOKEN="+metricsToken,
	)
	address := server.line(t, regexp.MustCompile(`is up: (\S+)`))
	service(t, tree, "snapwatch-agent", "SNAPWATCH_SERVER="+address, key)
	metrics := func() string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+metricsToken)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		text, _ := io.ReadAll(response.Body)
		return string(text)
	}
	testwait.Until(t, "a snapshot of the agent", func() bool {
		text := metrics()
		return strings.Contains(text, "snapwatch_machines{state=\"up\"} 1\n") &&
			!strings.Contains(text, "snapwatch_store_snapshots_total 0\n")
	})
	run(t, tree, "dpkg", append(dpkg, "--remove", "snapwatch-agent")...)
	if exists(t, filepath.Join(tree, "/usr/bin/snapwatch-agent")) ||
		!exists(t, filepath.Join(tree, "/etc/snapwatch/agent.env")) {
		t.Error("removing the package leaves the program, or deletes the settings")
	}
}

// verify checks a unit with systemd-analyze, with the path of the program in the tree.
func verify(t *testing.T, tree, name string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(tree, "lib/systemd/system", name+".service"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name+".service")
	local := strings.ReplaceAll(string(text), "=/usr/bin/", "="+tree+"/usr/bin/")
	if err := os.WriteFile(file, []byte(local), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run(t, tree, "systemd-analyze", "--man=no", "verify", file); out != "" {
		t.Errorf("systemd rejects %s:\n%s", name, out)
	}
}

// checkEnvironment checks that a settings file names existing settings only.
func checkEnvironment(t *testing.T, file string, known map[string]bool) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^#?([A-Z_]+)=`).FindAllStringSubmatch(string(text), -1)
	if len(names) == 0 {
		t.Errorf("%s has no settings", file)
	}
	for _, match := range names {
		if !known[match[1]] {
			t.Errorf("%s has %s, which is not a setting", file, match[1])
		}
	}
}

// running is a running service.
type running struct{ out *bufio.Scanner }

// service runs the command of a unit with the unit's environment, under the tree. Extra settings
// override those of the unit.
func service(t *testing.T, tree, name string, extra ...string) *running {
	t.Helper()
	u := unit(t, filepath.Join(tree, "lib/systemd/system", name+".service"))
	state := storetest.Dir(t)
	command := strings.Fields(u["ExecStart"][0])
	cmd := exec.CommandContext(context.Background(), filepath.Join(tree, command[0]), command[1:]...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	for _, value := range u["Environment"] {
		cmd.Env = append(cmd.Env, strings.ReplaceAll(value, "/var/lib/"+u["StateDirectory"][0], state))
	}
	cmd.Env, cmd.Dir = append(cmd.Env, extra...), "/"
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer func() {
			if t.Failed() {
				t.Logf("%s: %s", name, log.String())
			}
		}()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v", name, err)
		}
	})
	return &running{out: bufio.NewScanner(out)}
}

// line reads the output until a line matches, and returns the pattern's first group.
func (r *running) line(t *testing.T, pattern *regexp.Regexp) string {
	t.Helper()
	var before []string
	for r.out.Scan() {
		if match := pattern.FindStringSubmatch(r.out.Text()); match != nil {
			return match[1]
		}
		before = append(before, r.out.Text())
	}
	t.Fatalf("the program ended without a line that matches %s: %s", pattern, strings.Join(before, "\n"))
	return ""
}
