package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/joho/godotenv"
	"github.com/kardianos/service"

	"github.com/snapwatch/snapwatch/internal/config"
)

// The given settings are merged into the file, which only its owner can read.
func TestInstallWritesSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapwatch", "agent.env")
	write := func(cfg config.Agent, level string) int {
		t.Helper()
		given, err := config.NonDefault(&config.Log{Level: level}, &cfg)
		if err != nil {
			t.Fatal(err)
		}
		n, err := writeSettings(path, given)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	usual := config.Agent{
		Server:     "http://127.0.0.1:8420",
		FullEvery:  time.Minute,
		QueueBytes: 64 << 20,
		MaxCPU:     10,
		MaxMemory:  128 << 20,
	}
	if n := write(usual, "info"); n != 0 {
		t.Errorf("%d settings are written, want none", n)
	}
	first := usual
	first.Server, first.EnrolmentKey, first.SecretPatterns = "https://example.org", "a \"key\" # of $things", []string{
		`pin=(\d+)`,
	}
	if n := write(first, "debug"); n != 4 {
		t.Errorf("%d settings are written, want 4", n)
	}
	second := usual
	second.Server, second.MaxCPU = "https://other.example.org", 2.5
	if n := write(second, "info"); n != 2 {
		t.Errorf("%d settings are written, want 2", n)
	}
	kept, err := godotenv.Read(path)
	want := map[string]string{
		"SNAPWATCH_SERVER":         "https://other.example.org",
		"SNAPWATCH_ENROLMENT_KEY":  first.EnrolmentKey,
		"SNAPWATCH_SECRET_PATTERN": `pin=(\d+)`,
		"SNAPWATCH_MAX_CPU":        "2.5",
		"SNAPWATCH_LOG_LEVEL":      "debug",
	}
	if err != nil || len(kept) != len(want) {
		t.Fatalf("%v, %v", kept, err)
	}
	for name, value := range want {
		if kept[name] != value {
			t.Errorf("%s is %q, want %q", name, kept[name], value)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := config.NonDefault(&config.Agent{SecretPatterns: []string{"a", "b"}}); err == nil {
		t.Error("a setting with two patterns is accepted")
	}
}

// The unit is the one of the packages with other paths.
func TestUnitHasTheGivenPaths(t *testing.T) {
	text := unit(`/opt/my "tools"/100%/agent`, "/opt/agent.env")
	for _, line := range []string{
		`ExecStart="/opt/my \"tools\"/100%%/agent"`, "EnvironmentFile=-/opt/agent.env", "NoNewPrivileges=yes",
		"DynamicUser=yes", "ProtectSystem=strict",
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("there is no line %s in\n%s", line, text)
		}
	}
}

// fakeService is a service whose status is known.
type fakeService struct {
	service.Service
	platform string
	status   service.Status
	err      error
}

func (f fakeService) Platform() string                { return f.platform }
func (f fakeService) Status() (service.Status, error) { return f.status, f.err }

// A failing init script means that the service is stopped, or not installed if there is no script. Other service
// managers report both.
func TestServiceStatus(t *testing.T) {
	empty, installed := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(installed, serviceName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	exit, other := &exec.ExitError{}, errors.New("other")
	for name, test := range map[string]struct {
		scripts string
		service fakeService
		want    service.Status
		err     error
	}{
		"no script": {empty, fakeService{platform: "unix-systemv", err: exit}, 0, service.ErrNotInstalled},
		"stopped":   {installed, fakeService{platform: "unix-systemv", err: exit}, service.StatusStopped, nil},
		"running": {
			installed, fakeService{platform: "linux-rcs", status: service.StatusRunning}, service.StatusRunning, nil,
		},
		"another error": {installed, fakeService{platform: "linux-procd", err: other}, 0, other},
		"systemd": {
			empty, fakeService{platform: "linux-systemd", status: service.StatusStopped}, service.StatusStopped, nil,
		},
		"systemd fails": {empty, fakeService{platform: "linux-systemd", err: exit}, 0, exit},
	} {
		t.Run(name, func(t *testing.T) {
			status, err := serviceStatus(test.service, test.scripts)
			if status != test.want || !errors.Is(err, test.err) {
				t.Errorf("%v, %v", status, err)
			}
		})
	}
}
