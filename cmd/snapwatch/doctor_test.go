//go:build linux

package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/internal/finding"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// doctor runs the doctor, and returns its findings by their subject, and whether it succeeded.
func doctor(t *testing.T, args ...string) (map[string]finding.Finding, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program("snapwatch"), append([]string{"doctor", "--json"}, args...)...)
	cmd.Env = append(os.Environ(), "DATABASE_URL=")
	out, err := cmd.Output()
	var list []finding.Finding
	if parseErr := json.Unmarshal(out, &list); parseErr != nil {
		t.Fatalf("%v, %v: %s", err, parseErr, out)
	}
	found := make(map[string]finding.Finding)
	for _, f := range list {
		if f.OK != (f.Fix == "") {
			t.Errorf("a fix belongs to a problem: %+v", f)
		}
		found[f.What] = f
	}
	return found, err == nil
}

func TestDoctorOfRunningServer(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	socket := filepath.Join(t.TempDir(), "admin.sock")
	settings := []string{"--admin-listen", socket, "--base-path", "/base", "--max-connections", "1000"}
	p := start(t, "serve", dir, "127.0.0.1:0", settings...)
	fetchWith(t, p.url+"/readyz", `"ready"`)
	address := strings.TrimSuffix(strings.TrimPrefix(p.url, "http://"), "/base")
	settings = append(settings, "--data-dir", dir, "--listen", address)
	found, ok := doctor(t, settings...)
	if !ok {
		t.Errorf("a good server has problems: %+v", found)
	}
	for _, what := range []string{
		"programs", "disk", "database", "locale", "durability", "role", "writes", "connections", "database clock",
		"connection mode", "schema", "storage profile", "rollups", "retention", "certificate", "server clock", "server",
		"open files", "trusted proxies", "time zone",
	} {
		if f, checked := found[what]; !checked || f.Hint != "" {
			t.Errorf("%s: %+v", what, f)
		}
	}
	// A proxy on this machine that is not trusted.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-For", "192.0.2.1")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if found, ok := doctor(t, settings...); ok || !strings.Contains(found["trusted proxies"].Fix, "--trusted-proxies") {
		t.Errorf("an untrusted proxy: %v, %+v", ok, found["trusted proxies"])
	}
	// A form for people, with the same exit code.
	out, err := exec.CommandContext(
		t.Context(), program("snapwatch"), append([]string{"doctor"}, settings...)...,
	).Output()
	if err == nil || !strings.Contains(string(out), "WRONG  trusted proxies") ||
		!strings.Contains(string(out), "ok     database         PostgreSQL") {
		t.Errorf("%v: %s", err, out)
	}
}

// The doctor neither starts a private cluster nor creates one.
func TestDoctorStartsNothing(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	before := filesIn(t, dir)
	found, ok := doctor(t, "--data-dir", dir, "--listen", "127.0.0.1:1")
	if ok || !strings.Contains(found["database"].Detail, "does not run") ||
		!strings.Contains(found["database"].Fix, "start the server") ||
		!strings.Contains(found["server"].Fix, "start the server") {
		t.Errorf("%v, %+v", ok, found)
	}
	if after := filesIn(t, dir); !slices.Equal(before, after) {
		t.Errorf("the data directory has %v, and had %v", after, before)
	}
	empty := filepath.Join(t.TempDir(), "missing")
	found, ok = doctor(t, "--data-dir", empty, "--listen", "127.0.0.1:1")
	if ok || !strings.Contains(found["database"].Detail, "no private database") {
		t.Errorf("%v, %+v", ok, found)
	}
	if _, err := os.Stat(empty); err == nil {
		t.Error("the data directory was created")
	}
}

func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// The doctor creates no schema.
func TestDoctorOfDatabaseURL(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyURL(t)
	found, ok := doctor(t, "--database-url", url, "--listen", "127.0.0.1:1")
	if ok || found["schema"].OK || !strings.Contains(found["schema"].Fix, "snapwatch migrate up") {
		t.Errorf("%v, %+v", ok, found)
	}
	// Databases of tests are not durable.
	if f := found["durability"]; f.OK || !strings.Contains(f.Detail, "fsync") {
		t.Errorf("%+v", f)
	}
	var tables int
	if err := storetest.Connect(t, url).QueryRow(t.Context(),
		`SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'public'`).
		Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables were created, %v", tables, err)
	}
	found, ok = doctor(t, "--database-url", "postgres://x:s3cret@127.0.0.1:1/x", "--listen", "127.0.0.1:1")
	if ok || found["database"].OK || strings.Contains(found["database"].Detail, "s3cret") {
		t.Errorf("%v, %+v", ok, found["database"])
	}
}
