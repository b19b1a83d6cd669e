package agent

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// doctorServer is a server whose clock is ahead, and which responds to a request for the config with the given status.
func doctorServer(t *testing.T, secure bool, ahead time.Duration, config int) *httptest.Server {
	t.Helper()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		switch {
		case r.URL.Path == "/healthz":
		case strings.HasSuffix(r.URL.Path, "/config") && r.Header.Get("Authorization") == "Bearer secret":
			w.WriteHeader(config)
		case strings.HasSuffix(r.URL.Path, "/config") && r.Header.Get("Authorization") == "Bearer copied":
			_, _ = io.WriteString(w, `{"polling_interval":5,"competing_agents":["web-1","web-2"],"later":1}`)
		case strings.HasSuffix(r.URL.Path, "/config") && r.Header.Get("Authorization") == "Bearer lost":
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"code":"outside_base_path"}`)
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	})
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = nil
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

func TestExamine(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	plain := doctorServer(t, false, 0, http.StatusOK)
	secure := doctorServer(t, true, 0, http.StatusOK)
	ahead := doctorServer(t, false, time.Hour, http.StatusOK)
	unknown := doctorServer(t, false, 0, http.StatusUnauthorized)
	other := doctorServer(t, false, 0, http.StatusForbidden)
	unusable := filepath.Join(file, "state")
	plainTLS := strings.Replace(plain.URL, "http:", "https:", 1)
	for name, test := range map[string]struct {
		cfg   Config
		wrong string // the subject of the only finding that is not OK
		fix   string // a part of its fix
	}{
		"no problem":           {Config{Server: plain.URL, Token: "secret"}, "", ""},
		"a key, no token yet":  {Config{Server: plain.URL, EnrolmentKey: "key"}, "", ""},
		"no server":            {Config{Server: "http://127.0.0.1:1", Token: "secret"}, "server", "firewall"},
		"another server":       {Config{Server: plain.URL + "/elsewhere", Token: "secret"}, "server", "base path"},
		"an unknown authority": {Config{Server: secure.URL, Token: "secret"}, "server", "--ca-file"},
		"plain HTTP":           {Config{Server: plainTLS, Token: "secret"}, "server", "http://"},
		"no token":             {Config{Server: plain.URL}, "token", "SNAPWATCH_ENROLMENT_KEY"},
		"a rejected token":     {Config{Server: unknown.URL, Token: "secret"}, "token", "re-enrol"},
		"another's token":      {Config{Server: other.URL, Token: "secret"}, "token", "copied disk image"},
		"a copied state":       {Config{Server: plain.URL, Token: "copied"}, "machine id", "empty /"},
		"no base path":         {Config{Server: plain.URL, Token: "lost"}, "token", "base path"},
		"the clock":            {Config{Server: ahead.URL, Token: "secret"}, "clock", "chrony"},
		"the state directory": {
			Config{Server: plain.URL, Token: "secret", StateDir: unusable}, "state directory", "--state-dir",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.cfg.MachineID = "m"
			if test.cfg.StateDir == "" {
				test.cfg.StateDir = t.TempDir()
			}
			wrong := ""
			for _, f := range Examine(t.Context(), test.cfg) {
				if f.OK != (f.Fix == "") || !f.OK && f.Hint != "" {
					t.Errorf("a fix belongs to a problem, and a hint to a check without one: %+v", f)
				}
				if f.OK {
					continue
				}
				wrong = f.What
				if f.What != test.wrong || !strings.Contains(f.Fix, test.fix) || f.Detail == "" {
					t.Errorf("%+v", f)
				}
			}
			if wrong != test.wrong {
				t.Errorf("the problem is %q, want %q", wrong, test.wrong)
			}
		})
	}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	state, err := Once(t.Context(), Config{}, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range state.Processes {
		if int(p.PID) == os.Getpid() {
			if p.CPUUsage == nil || p.MemoryUsage == nil || *p.MemoryUsage == 0 || state.IntervalMS < 50 {
				t.Errorf("%+v", p)
			}
			return
		}
	}
	t.Errorf("this process is not among the %d processes", len(state.Processes))
}
