package check_test

import (
	"context"
	"debug/elf"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/snapwatch/snapwatch/store/storetest"
)

// secrets are the variables of .env that the compose file needs.
var secrets = []string{
	"POSTGRES_PASSWORD",
	"SNAPWATCH_DATABASE_PASSWORD",
	"SNAPWATCH_READER_PASSWORD",
	"SNAPWATCH_ENROLMENT_KEY",
	"SNAPWATCH_METRICS_TOKEN",
	"GRAFANA_ADMIN_PASSWORD",
}

func load(t testing.TB, env []string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions(
		[]string{filepath.Join(root, "docker-compose.yml")}, cli.WithWorkingDirectory(root), cli.WithEnv(env),
	)
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(context.Background())
}

func project(t testing.TB) *types.Project {
	t.Helper()
	var env []string
	for _, name := range secrets {
		env = append(env, name+"=of-"+strings.ToLower(name))
	}
	p, err := load(t, env)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestComposeHasNoDefaultPassword(t *testing.T) {
	t.Parallel()
	for i, missing := range secrets {
		var env []string
		for k, name := range secrets {
			if k != i {
				env = append(env, name+"=x")
			}
		}
		if _, err := load(t, env); err == nil || !strings.Contains(err.Error(), missing) ||
			!strings.Contains(err.Error(), "secrets.sh") {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	// The script writes each of them once.
	file := filepath.Join(t.TempDir(), ".env")
	for range 2 {
		run(t, root, "sh", "deploy/docker/secrets.sh", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	seen := make(map[string]bool)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		if !slices.Contains(secrets, name) || len(value) != 48 || seen[value] {
			t.Errorf("%s has %q", name, value)
		}
		seen[value] = true
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || len(lines) != len(secrets) {
		t.Errorf("%d lines, mode %v, %v", len(lines), info.Mode(), err)
	}
}

func TestComposeServices(t *testing.T) {
	t.Parallel()
	p := project(t)
	got := slices.Sorted(maps.Keys(p.Services))
	if strings.Join(got, " ") != "agent database grafana prometheus server" {
		t.Fatalf("services: %v", got)
	}
	known := map[string]map[string]bool{"server": serverVariables(t), "agent": agentVariables(t)}
	for name, service := range p.Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q", name, port.Published, port.HostIP)
			}
		}
		for _, volume := range service.Volumes {
			inside := volume.Type == types.VolumeTypeBind && strings.HasPrefix(volume.Source, absolute(t, root))
			if inside && !exists(t, volume.Source) {
				t.Errorf("%s mounts %s, which does not exist", name, volume.Source)
			}
			if volume.Type == types.VolumeTypeBind && !volume.ReadOnly {
				t.Errorf("%s may write to %s", name, volume.Source)
			}
			if volume.Type == types.VolumeTypeVolume {
				if _, ok := p.Volumes[volume.Source]; !ok {
					t.Errorf("%s mounts the volume %s, which is not declared", name, volume.Source)
				}
			}
		}
		if service.Build != nil {
			checkBuild(t, name, service.Build)
		} else if !regexp.MustCompile(`:v?\d+\.\d+\.\d+`).MatchString(service.Image) {
			t.Errorf("%s is not pinned: %s", name, service.Image)
		}
		if service.HealthCheck == nil && name != "agent" {
			t.Errorf("%s has no health check", name)
		}
		if limits := service.Deploy; limits == nil || limits.Resources.Limits == nil ||
			limits.Resources.Limits.MemoryBytes == 0 ||
			limits.Resources.Limits.NanoCPUs == 0 {
			t.Errorf("%s has no limits", name)
		}
		for variable := range service.Environment {
			if settings := known[name]; settings != nil && !settings[variable] && variable != "GOMEMLIMIT" {
				t.Errorf("%s has no setting %s", name, variable)
			}
		}
		for other := range service.DependsOn {
			if p.Services[other].HealthCheck == nil {
				t.Errorf("%s waits for %s to be healthy, which has no health check", name, other)
			}
		}
	}
	agent := p.Services["agent"]
	if agent.Pid != "host" || agent.NetworkMode != "host" || agent.Uts != "host" || agent.Privileged {
		t.Errorf(
			"the agent would record its container: pid %s, network %s, uts %s, privileged %v", agent.Pid,
			agent.NetworkMode, agent.Uts, agent.Privileged,
		)
	}
}

func absolute(t testing.TB, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// checkBuild checks that an image's stage exists, copies existing files, and runs a static program as an
// ordinary user.
func checkBuild(t *testing.T, name string, build *types.BuildConfig) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(build.Context, build.Dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	_, stage, ok := strings.Cut(string(text), "FROM scratch AS "+build.Target+"\n")
	if !ok {
		t.Fatalf("%s: no stage %s from scratch", name, build.Target)
	}
	stage, _, _ = strings.Cut(stage, "\nFROM ")
	entry := regexp.MustCompile(`ENTRYPOINT \["(/[a-z-]+)"\]`).FindStringSubmatch(stage)
	if entry == nil || !strings.Contains(stage, "COPY --from=go /out"+entry[1]+" "+entry[1]+"\n") ||
		!strings.Contains(stage, "USER 65532:65532\n") {
		t.Fatalf("%s: the stage lacks its program or its user:\n%s", name, stage)
	}
	program, err := elf.Open(filepath.Join(programs, entry[1]))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer func() { _ = program.Close() }()
	for _, header := range program.Progs {
		if header.Type == elf.PT_INTERP {
			t.Errorf("%s: %s needs a dynamic loader, which the image does not have", name, entry[1])
		}
	}
	for _, match := range regexp.MustCompile(`(?m)^COPY (?:([^-\n].*) )(\S+)$`).FindAllStringSubmatch(string(text), -1) {
		for source := range strings.FieldsSeq(match[1]) {
			if !exists(t, filepath.Join(build.Context, source)) {
				t.Errorf("%s copies %s, which does not exist", build.Dockerfile, source)
			}
		}
	}
	for _, command := range regexp.MustCompile(`\./cmd/[a-z-]+`).FindAllString(string(text), -1) {
		if !exists(t, filepath.Join(build.Context, command)) {
			t.Errorf("%s builds %s, which does not exist", build.Dockerfile, command)
		}
	}
}

// The server has the command of its health check, and the command fails without a server.
func TestHealthCommand(t *testing.T) {
	t.Parallel()
	server := project(t).Services["server"]
	check := server.HealthCheck.Test
	if len(check) < 3 || check[0] != "CMD" || check[1] != "/snapwatch" {
		t.Fatalf("%v", check)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(programs, "snapwatch"), check[2:]...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "connect to the server") {
		t.Errorf("without a server: %v %s", err, out)
	}
	checked := check[len(check)-1]
	listen := server.Environment["SNAPWATCH_LISTEN"]
	port := ":" + strconv.Itoa(int(server.Ports[0].Target))
	if !strings.HasSuffix(checked, port) || listen == nil || !strings.HasSuffix(*listen, port) {
		t.Errorf("the server listens, is checked and is published on different ports: %s, %s", checked, port)
	}
}

// The services agree on names, ports, users and files.
func TestComposeFitsTogether(t *testing.T) {
	t.Parallel()
	p := project(t)
	server, grafana := p.Services["server"], p.Services["grafana"]
	value := func(service types.ServiceConfig, name string) string {
		if v := service.Environment[name]; v != nil {
			return *v
		}
		t.Errorf("%s has no %s", service.Name, name)
		return ""
	}
	const url = "postgres://snapwatch:of-snapwatch_database_password@database:5432/snapwatch"
	if got := value(server, "DATABASE_URL"); got != url {
		t.Error(got)
	}
	roles := read(t, "deploy/docker/roles.sh")
	readers := []string{value(server, "SNAPWATCH_READER_ROLE"), value(grafana, "SNAPWATCH_READER")}
	for _, role := range append(readers, "snapwatch") {
		if !strings.Contains(roles, "CREATE ROLE "+role+" LOGIN") {
			t.Errorf("roles.sh does not create the role %s", role)
		}
	}
	if !slices.Contains(strings.Split(value(server, "SNAPWATCH_ALLOWED_HOSTS"), ","), "server") {
		t.Error("the server refuses Prometheus, which uses the host name server")
	}
	if !strings.Contains(
		read(t, "deploy/prometheus/prometheus.yml"), "server:"+strconv.Itoa(int(server.Ports[0].Target)),
	) {
		t.Error("Prometheus scrapes another port")
	}
	if got := value(p.Services["agent"], "SNAPWATCH_SERVER"); got != "http://127.0.0.1:"+server.Ports[0].Published {
		t.Errorf("the agent posts to %s", got)
	}

	// Each variable of Grafana's provisioning is set, its data sources are those of the dashboards, and the
	// dashboards are mounted where Grafana looks for them.
	sources := read(t, "grafana/provisioning/datasources/snapwatch.yml")
	for _, match := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(sources, -1) {
		value(grafana, match[1])
	}
	var parsed struct {
		Datasources []struct{ UID, Type, URL string }
	}
	if err := yaml.Unmarshal([]byte(sources), &parsed); err != nil {
		t.Fatal(err)
	}
	have := make(map[string]string)
	for _, source := range parsed.Datasources {
		have[source.UID] = source.Type
	}
	used := make(map[string]string)
	files, _ := filepath.Glob(filepath.Join(root, "grafana/dashboards/*.json"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`"datasource": (\{[^}]*\})`).FindAllStringSubmatch(string(text), -1) {
			var ref struct{ Type, UID string }
			if err := json.Unmarshal([]byte(match[1]), &ref); err != nil {
				t.Fatal(err)
			}
			used[ref.UID] = ref.Type
		}
	}
	if !maps.Equal(have, used) || len(used) != 2 {
		t.Errorf("dashboards use %v, provisioned are %v", used, have)
	}
	var providers struct {
		Providers []struct{ Options struct{ Path string } }
	}
	provisioning := read(t, "grafana/provisioning/dashboards/snapwatch.yml")
	if err := yaml.Unmarshal([]byte(provisioning), &providers); err != nil || len(providers.Providers) != 1 {
		t.Fatal(err)
	}
	path := providers.Providers[0].Options.Path
	mounted := slices.ContainsFunc(grafana.Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Target == path && strings.HasSuffix(v.Source, "grafana/dashboards")
	})
	home := value(grafana, "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH")
	if !mounted || !exists(t, filepath.Join(root, "grafana/dashboards", filepath.Base(home))) ||
		filepath.Dir(home) != path {
		t.Errorf("Grafana looks for dashboards in %s, and for the home page at %s", path, home)
	}
}

// The agent and Prometheus use the secrets of the server, and Prometheus finds its token where its
// configuration looks for it.
func TestComposeCredentials(t *testing.T) {
	t.Parallel()
	p := project(t)
	value := func(service, name string) string {
		v := p.Services[service].Environment[name]
		if v == nil {
			return ""
		}
		return *v
	}
	if key := value("server", "SNAPWATCH_ENROLMENT_KEY"); key == "" ||
		key != value("agent", "SNAPWATCH_ENROLMENT_KEY") {
		t.Error("the agent enrols with another key than the server accepts")
	}
	given := p.Services["prometheus"].Secrets
	if len(given) != 1 || p.Secrets[given[0].Source].Environment != "SNAPWATCH_METRICS_TOKEN" ||
		value("server", "SNAPWATCH_METRICS_TOKEN") == "" {
		t.Fatalf("Prometheus has the secrets %+v", given)
	}
	config := read(t, "deploy/prometheus/prometheus.yml")
	if n := strings.Count(config, "credentials_file: /run/secrets/"+given[0].Source+"}"); n != strings.Count(
		config, "job_name:",
	) {
		t.Errorf("%d of %d jobs send the token", n, strings.Count(config, "job_name:"))
	}
	for name, service := range p.Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s is reachable from other machines, in plain text", name)
			}
		}
	}
}

// The database's script works on a real PostgreSQL, here without the extension.
func TestRoles(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyURL(t)
	conn := storetest.ConnectAdmin(t, storetest.Database{URL: url})
	cfg := conn.Config()
	script := filepath.Join(t.TempDir(), "roles.sh")
	text := strings.NewReplacer(
		"CREATE EXTENSION IF NOT EXISTS timescaledb;", "", "snapwatch", "swcheck",
		"--dbname postgres", "--dbname "+cfg.Database,
	).Replace(read(t, "deploy/docker/roles.sh"))
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", script)
	cmd.Env = append(
		os.Environ(),
		"PGHOST="+cfg.Host,
		"PGPORT="+strconv.Itoa(int(cfg.Port)),
		"POSTGRES_USER="+cfg.User,
		"SNAPWATCH_DATABASE_PASSWORD=it's",
		`SNAPWATCH_READER_PASSWORD=a\b`,
	)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		for _, statement := range []string{"DROP DATABASE swcheck", "DROP ROLE swcheck", "DROP ROLE swcheck_reader"} {
			if _, err := conn.Exec(context.Background(), statement); err != nil {
				t.Error(err)
			}
		}
	})
	var powers int
	var owner string
	const query = `SELECT
		(SELECT count(*) FROM pg_roles WHERE rolname LIKE 'swcheck%'
			AND (rolsuper OR rolcreaterole OR rolcreatedb OR NOT rolcanlogin)),
		(SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'swcheck')`
	err := conn.QueryRow(t.Context(), query).Scan(&powers, &owner)
	if err != nil || powers != 0 || owner != "swcheck" {
		t.Errorf("%d roles have too many rights, the database belongs to %s (%v)", powers, owner, err)
	}
}
