//go:build linux

package main_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/secretform"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// marker is in every secret and every name of this test. Nothing else contains it.
const marker = "hunter22"

// bundle makes a support bundle, and returns its files, decompressed.
func bundle(t *testing.T, env []string, args ...string) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	arguments := append([]string{"support-bundle", file, "--profile-seconds", "1"}, args...)
	run := func() error {
		cmd := exec.CommandContext(t.Context(), program("snapwatch"), arguments...)
		cmd.Env = append(append(os.Environ(), "DATABASE_URL="), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return errors.New(string(out))
		}
		return nil
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	if err := run(); err == nil || !strings.Contains(err.Error(), "file exists") {
		t.Errorf("a second bundle in the same file: %v", err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	archive := tar.NewReader(strings.NewReader(gunzip(t, data)))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(header.Name, "snapwatch-support/")
		if files[name] = string(content); strings.HasSuffix(name, ".gz") {
			files[name] = gunzip(t, content)
		}
	}
}

func gunzip(t *testing.T, data []byte) string {
	t.Helper()
	reader, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// lacks checks that no file contains a text or a secret.
func lacks(t *testing.T, files map[string]string, texts ...string) {
	t.Helper()
	secrets := regexp.MustCompile(secretform.Pattern() + `|\$argon2`)
	for name, content := range files {
		for _, text := range texts {
			if i := strings.Index(strings.ToLower(content), strings.ToLower(text)); i >= 0 {
				t.Errorf("%s has %q: …%.200q…", name, text, content[max(0, i-100):])
			}
		}
		if found := secrets.FindString(content); found != "" {
			t.Errorf("%s has the secret %q", name, found)
		}
	}
}

// fill stores a secret or a name with the marker wherever the server and its database keep some.
func fill(t *testing.T, p *process, dir string) {
	t.Helper()
	const password = "correct horse battery"
	for _, args := range [][]string{
		{"user", "add", marker + "-user", "--role", "admin"}, {"token", "add", marker + "-token"},
		{"key", "add", marker + "-key", "--tags", marker + "-tag"},
	} {
		if _, err := shell(t, dir, password+"\n", args...); err != nil {
			t.Fatal(err)
		}
	}
	login := strings.NewReader(`{"name":"` + marker + `-user","password":"` + password + `"}`)
	response, err := client.Post(p.url+"/api/v1/auth/login", "application/json", login)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("sign in: %d", response.StatusCode)
	}
	command, user, ppid := marker+" --password="+marker, marker+"-owner", int32(0)
	body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: marker + "-machine", Snapshots: []snapshot.Snapshot{{
		Timestamp: snapshot.TimeOf(time.Now()), Kind: snapshot.KindFull, IntervalMS: 5000,
		Processes: []snapshot.ProcessSample{
			{PID: 1, PPID: &ppid, Name: marker + "-process", CommandLine: command, User: user},
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := post(t.Context(), p.url, body); err != nil {
		t.Fatal(err)
	}
}

// logValues makes the private database log values of a statement, and leaves sessions with values open.
func logValues(t *testing.T, dir string) {
	t.Helper()
	url, err := shell(t, dir, "", "database-url")
	if err != nil {
		t.Fatal(err)
	}
	superuser := storetest.Connect(t, strings.Replace(url, "snapwatch@/snapwatch", "postgres@/snapwatch", 1))
	for _, statement := range []string{
		"ALTER SYSTEM SET primary_conninfo = 'password=" + marker + "'", "SELECT pg_reload_conf()",
		"ALTER ROLE snapwatch PASSWORD '" + marker + "'",
		"SET log_min_duration_statement = 0", "SET log_statement = 'all'", "SELECT '" + marker + "'",
	} {
		if _, err := superuser.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(statement, err)
		}
	}
	for _, application := range []string{"snapwatch reads", marker} {
		conn := storetest.Connect(t, url)
		if _, err := conn.Exec(t.Context(), "SET application_name = '"+application+"'"); err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"SELECT '" + marker + "'::int", `SELECT "` + marker + `"`, "SELECT $$" + marker + "$$"} {
			_, _ = conn.Exec(t.Context(), bad, pgx.QueryExecModeSimpleProtocol) // the first two fail
		}
	}
}

func TestSupportBundle(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	socket := filepath.Join(t.TempDir(), marker+".sock")
	env := []string{
		"SNAPWATCH_ADMIN_TOKEN=" + marker + strings.Repeat("a", 32),
		"SNAPWATCH_METRICS_TOKEN=" + marker + strings.Repeat("b", 32),
		"SNAPWATCH_ENROLMENT_KEY=" + marker + strings.Repeat("c", 32),
		"SNAPWATCH_OIDC_CLIENT_SECRET=" + marker + "-oidc",
		"SNAPWATCH_ALLOWED_HOSTS=127.0.0.1," + marker + ".example.org",
		"USER=" + marker + "-me",
		"SNAPWATCH_ADMIN_LISTEN=" + socket,
	}
	p := startWithEnv(t, env, "serve", dir, "127.0.0.1:0")
	fill(t, p, dir)
	logValues(t, dir)
	settings := []string{"--data-dir", dir, "--listen", strings.TrimPrefix(p.url, "http://")}
	files := bundle(t, env, settings...)
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	lacks(t, files, marker, "correct horse", p.token, dir, socket)
	if regexp.MustCompile(`\b` + regexp.QuoteMeta(hostname) + `\b`).
		MatchString(files["system.json"] + files["doctor.txt"]) {
		t.Errorf("the name of this machine is in the bundle")
	}
	for name, want := range map[string]string{
		"README.txt": "look through the files", "version.txt": ".", "logs.txt": "journalctl",
		"settings.json": "(set, secret)", "doctor.txt": "ok     database         " +
			"PostgreSQL", "system.json": "memory_bytes",
		"readyz.json": `"checks"`, "metrics.txt": "snapwatch_build_info", "goroutines.txt": "main.(*server).wait",
		"heap.pb.gz": "main.main", "cpu.pb.gz": "nanoseconds", "database/schema.json": `"profile": "postgres"`,
		"database/server.json": `"encoding": "UTF8"`, "database/settings.json": "max_connections",
		"database/sizes.json": "process_samples", "database/sessions.json": "snapwatch listener",
		"postgres.log": "ready to accept connections",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s lacks %q: %.500s", name, want, files[name])
		}
	}
	for name, content := range files {
		if strings.HasSuffix(name, ".error.txt") {
			t.Errorf("%s: %s", name, content)
		}
	}
	named := bundle(t, env, append(settings, "--with-names")...)
	if !strings.Contains(named["settings.json"], marker+".example.org") {
		t.Errorf("with names: %s", named["settings.json"])
	}
	named["settings.json"] = strings.ReplaceAll(named["settings.json"], marker+".example.org", "")
	named["settings.json"] = strings.ReplaceAll(named["settings.json"], socket, "")
	lacks(t, named, marker)
}

// A bundle of a server that does not run has what can be collected, and the reasons for the rest.
func TestSupportBundleWithoutServer(t *testing.T) {
	t.Parallel()
	files := bundle(t, []string{
		"DATABASE_URL=postgres://" + marker + ":" + marker + "-password@" + marker + ".invalid/" + marker,
		"SNAPWATCH_METRICS_TOKEN=" + marker + "-token",
	}, "--listen", "127.0.0.1:1")
	lacks(t, files, marker)
	for _, name := range []string{"metrics.txt", "readyz.json", "database/server.json"} {
		if files[name+".error.txt"] == "" {
			t.Errorf("%s: there is no reason", name)
		}
	}
	if !strings.Contains(files["doctor.txt"], "WRONG  database") {
		t.Errorf("%s", files["doctor.txt"])
	}
}
