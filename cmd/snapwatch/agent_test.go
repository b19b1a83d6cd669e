//go:build linux

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/snapwatch/snapwatch/internal/testport"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A full disk or a read-only spool loses nothing while the agent runs: it logs the fault, queues
// snapshots in memory, and all of them are stored in the end.
func TestUnwritableSpool(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare string
		heals   bool
	}{
		"full": {`mount -t tmpfs -o size=64k,mode=0700 full "$STATE/spool"
			dd if=/dev/zero of="$STATE/spool/fill" bs=4k 2>/dev/null || true`, true},
		"read-only": {`mount --bind "$STATE/spool" "$STATE/spool"; mount -o remount,bind,ro "$STATE/spool"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, state, listen := dataDir(t), storetest.Dir(t), testport.FreeAddress(t)
			if err := os.MkdirAll(filepath.Join(state, "spool"), 0o700); err != nil {
				t.Fatal(err)
			}
			server := start(t, "serve", dir, listen)
			agent := startAgentAfter(
				t, test.prepare, []string{"STATE=" + state, "SNAPWATCH_ENROLMENT_KEY=" + enrolmentKey(t, dir, "one")},
				"--server", "http://"+listen, "--state-dir", state, "--machine-id", "m",
			)
			agent.log.contains(t, "could not write snapshots to disk")
			configure(t, server, "m", fast)
			server.kill(t)
			agent.records(t, 4) // without a server and a disk
			if test.heals {
				fill := fmt.Sprintf("/proc/%d/root%s/spool/fill", agent.cmd.Process.Pid, state)
				if err := os.Remove(fill); err != nil {
					t.Fatal(err)
				}
				agent.log.contains(t, "snapshots are written to disk again")
			}
			server = start(t, "serve", dir, listen)
			configure(t, server, "m", paused)
			agent.log.contains(t, "enabled=false")
			testwait.Until(t, "all recorded snapshots to be stored", func() bool {
				return storedSnapshots(t, dir) >= agent.recorded()
			})
			agent.stop(t)
			wantAllStored(t, dir, agent.log)
		})
	}
}

// An agent that does not trust the server's certificate logs it, sends nothing and goes on recording.
// Once it trusts the certificate's authority, it sends everything.
func TestWrongCertificate(t *testing.T) {
	t.Parallel()
	posts := make(chan struct{}, 1000)
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/api/v1/snapshots" {
			posts <- struct{}{}
		}
		_, _ = io.WriteString(w, `{"stored":1,"polling_interval":5,"enabled":true,
			"config":{"polling_interval":0.5,"enabled":true},"config_version":1}`)
	}))
	defer web.Close()
	state := t.TempDir()
	arguments := []string{"--server", web.URL, "--state-dir", state, "--machine-id", "m"}
	agent := startAgent(t, []string{"SNAPWATCH_TOKEN=of-the-test"}, arguments...)
	agent.log.contains(t, "certificate signed by unknown authority")
	testwait.Until(t, "two snapshots to be recorded", func() bool { return agent.recorded() >= 2 })
	agent.stop(t)
	if len(posts) != 0 {
		t.Fatal("the agent has sent snapshots to a server that it does not trust")
	}
	authority := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(authority, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	agent = startAgent(t, []string{"SNAPWATCH_TOKEN=of-the-test"}, append(arguments, "--ca-file", authority)...)
	agent.log.contains(t, "unsent snapshots of an earlier run")
	<-posts
}

// The agent uses the proxy of the usual environment variables.
func TestProxy(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	server := start(t, "serve", dir, "127.0.0.1:0")
	target, err := url.Parse(server.url)
	if err != nil {
		t.Fatal(err)
	}
	requested := make(chan string, 1000)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		requested <- r.In.URL.String()
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
	}})
	defer proxy.Close()
	env := []string{
		"SNAPWATCH_ENROLMENT_KEY=" + enrolmentKey(t, dir, "one"), "HTTP_PROXY=" + proxy.URL, "NO_PROXY=",
	}
	startAgent(t, env, "--server", "http://snapwatch.test:8420", "--state-dir", t.TempDir(), "--machine-id", "m")
	testwait.Until(t, "a snapshot to be stored", func() bool { return storedSnapshots(t, dir) > 0 })
	if first := <-requested; !strings.HasPrefix(first, "http://snapwatch.test:8420/") {
		t.Errorf("the proxy was sent a request for %s", first)
	}
}

// The environment and flags override the file with settings. The agent serves its own metrics in a
// form that Prometheus accepts.
func TestSettingsFileAndMetrics(t *testing.T) {
	t.Parallel()
	file, address := filepath.Join(t.TempDir(), "agent.env"), testport.FreeAddress(t)
	text := "SNAPWATCH_SERVER=http://" + testport.FreeAddress(t) + "\nSNAPWATCH_STATE_DIR=" + t.TempDir() +
		"\nSNAPWATCH_MACHINE_ID=of-the-file\nSNAPWATCH_METRICS_LISTEN=" + address + "\nSNAPWATCH_LOG_FORMAT=json\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	agent := startAgent(t, []string{"SNAPWATCH_LOG_FORMAT=text"}, "--config", file, "--machine-id", "of-the-flag")
	agent.log.contains(t, "machine_id=of-the-flag")
	testwait.Until(t, "two snapshots to be recorded", func() bool { return agent.recorded() >= 2 })
	var body []byte
	testwait.Until(t, "the agent's metrics", func() bool {
		response, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		body, err = io.ReadAll(response.Body)
		return err == nil
	})
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%v in\n%s", err, body)
	}
	value := func(name string) float64 {
		family := families["snapwatch_agent_"+name]
		if family == nil {
			t.Fatalf("no %s in\n%s", name, body)
		}
		metric := family.GetMetric()[0]
		return metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
	}
	if value("snapshots_recorded_total") < 2 || value("snapshots_waiting") < 2 || value("snapshots_sent_total") != 0 ||
		value("processes") < 2 || value("resident_bytes") < 1<<20 {
		t.Errorf("%s", body)
	}
	check := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	check.Stdin = bytes.NewReader(body)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v %s", err, out)
	}
}

// A dry run prints the snapshots that would be sent, and sends nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	web := httptest.NewServer(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("a request for %s", r.URL) }),
	)
	defer web.Close()
	state := filepath.Join(t.TempDir(), "state")
	cmd := exec.CommandContext(
		ctx, program("snapwatch-agent"), "run", "--dry-run", "--server", web.URL, "--state-dir", state,
	)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(out)
	for _, kind := range []string{"full", "changes"} {
		var snapshot struct {
			Kind      string
			Processes []struct{ PID int }
		}
		if err := decoder.Decode(&snapshot); err != nil || snapshot.Kind != kind || len(snapshot.Processes) == 0 {
			t.Fatalf("%+v, %v", snapshot, err)
		}
	}
	cancel()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the agent ended with %d", code)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("a dry run made a state directory")
	}
}
