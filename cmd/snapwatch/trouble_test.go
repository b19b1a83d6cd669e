//go:build linux

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
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

	"github.com/snapwatch/snapwatch/store/storetest"
)

// watcher is an agent of the real program, under a shell script that prepares where it
// runs, in namespaces of its own.
type watcher struct {
	cmd *exec.Cmd
	log *lockedBuffer
}

// startWatcher runs prepare, as root of a namespace with mounts of its own, and then an
// agent with further arguments and variables.
func startWatcher(t *testing.T, prepare string, env []string, arguments ...string) *watcher {
	t.Helper()
	w := &watcher{log: &lockedBuffer{}}
	space := []string{"--mount"}
	if os.Geteuid() != 0 {
		space = []string{"--mount", "--user", "--map-root-user"}
	}
	words := append(
		space, "sh", "-ec", prepare+"\nexec \"$@\"", "sh", filepath.Join(binaries, "snapwatch-agent"), "--log-level",
		"debug",
	)
	w.cmd = exec.Command("unshare", append(words, arguments...)...)
	w.cmd.Env = append(os.Environ(), env...)
	w.cmd.Stderr = w.log
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
		_ = w.cmd.Wait()
	})
	return w
}

func (w *watcher) says(t *testing.T, what string) {
	t.Helper()
	until(t, "the agent says "+what, func() bool { return strings.Contains(w.log.String(), what) })
}

func (w *watcher) taken() int { return len(recorded.FindAllString(w.log.String(), -1)) }

// freeAddress is where a server may listen later.
func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free.Close() }()
	return free.Addr().String()
}

// quick makes a machine's agent record twice a second, once the server can tell it.
func quick(t *testing.T, server *process, machineID string) {
	t.Helper()
	until(t, "the machine is there", func() bool {
		return statusWith(t, server.token, server.url+"/api/v1/machines/"+machineID) == http.StatusOK
	})
	change, err := http.NewRequestWithContext(
		t.Context(),
		http.MethodPatch,
		server.url+"/api/v1/machines/"+machineID,
		strings.NewReader(`{"polling_interval": 0.5}`),
	)
	if err != nil {
		t.Fatal(err)
	}
	change.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(change)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", answer, err)
	}
	_ = answer.Body.Close()
}

// A disk that fills up, or a spool that cannot be written to, costs nothing as long as
// the agent runs: it says so, goes on in memory, and all of it is stored in the end.
func TestDisksThatRefuse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare string
		heals   bool
	}{
		"full":      {`mount -t tmpfs -o size=64k full "$STATE/spool"; dd if=/dev/zero of="$STATE/spool/fill" bs=4k 2>/dev/null || true`, true},
		"read-only": {`mount --bind "$STATE/spool" "$STATE/spool"; mount -o remount,bind,ro "$STATE/spool"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, state, listen := storetest.Dir(t), storetest.Dir(t), freeAddress(t)
			if err := os.MkdirAll(filepath.Join(state, "spool"), 0o700); err != nil {
				t.Fatal(err)
			}
			server := start(t, "serve", dir, listen)
			key, err := shell(t, dir, "", "key", "add", "one")
			if err != nil {
				t.Fatal(err)
			}
			agent := startWatcher(
				t,
				test.prepare,
				[]string{"STATE=" + state, "SNAPWATCH_ENROLMENT_KEY=" + key},
				"--server",
				"http://"+listen,
				"--state-dir",
				state,
				"--machine-id",
				"m",
			)
			agent.says(t, "cannot be kept on disk")
			quick(t, server, "m")
			server.kill(t)
			before := agent.taken()
			until(t, "some are recorded without server and disk", func() bool { return agent.taken() >= before+4 })
			if test.heals {
				if err := os.Remove(fmt.Sprintf("/proc/%d/root%s/spool/fill", agent.cmd.Process.Pid, state)); err != nil {
					t.Fatal(err)
				}
				agent.says(t, "are kept on disk again")
			}
			start(t, "serve", dir, listen)
			taken := agent.taken()
			until(t, "all of them are stored", func() bool {
				var stored int
				row(t, dir, `SELECT count(*) FROM snapshots`, &stored)
				return stored >= taken
			})
			if err := agent.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = agent.cmd.Wait()
			wantAllStored(t, dir, agent.log)
		})
	}
}

// A certificate that the agent does not believe is said, and keeps nothing from being
// recorded; once its authority is believed all is sent.
func TestWrongCertificate(t *testing.T) {
	t.Parallel()
	taken := make(chan int, 100)
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/api/v1/snapshots" {
			taken <- 1
		}
		_, _ = io.WriteString(
			w,
			`{"stored":1,"polling_interval":5,"enabled":true,"config":{"polling_interval":0.5,"enabled":true},"config_version":1}`,
		)
	}))
	defer web.Close()
	state := t.TempDir()
	arguments := []string{"--server", web.URL, "--state-dir", state, "--machine-id", "m"}
	agent := startWatcher(t, "", []string{"SNAPWATCH_TOKEN=of-the-test"}, arguments...)
	agent.says(t, "certificate signed by unknown authority")
	until(t, "it records", func() bool { return agent.taken() >= 2 })
	_ = agent.cmd.Process.Signal(syscall.SIGTERM)
	_ = agent.cmd.Wait()
	if len(taken) != 0 {
		t.Fatal("it has sent to whom it does not believe")
	}
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	agent = startWatcher(t, "", []string{"SNAPWATCH_TOKEN=of-the-test"}, append(arguments, "--ca-file", authority)...)
	agent.says(t, "snapshots of before wait to be sent")
	until(t, "they are sent", func() bool { return len(taken) > 0 })
}

// An agent behind a proxy finds it in the usual variables.
func TestProxy(t *testing.T) {
	t.Parallel()
	dir := storetest.Dir(t)
	server := start(t, "serve", dir, "127.0.0.1:0")
	target, err := url.Parse(server.url)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1000)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		asked <- r.In.URL.String()
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
	}})
	defer proxy.Close()
	key, err := shell(t, dir, "", "key", "add", "one")
	if err != nil {
		t.Fatal(err)
	}
	startWatcher(
		t,
		"",
		[]string{"SNAPWATCH_ENROLMENT_KEY=" + key, "HTTP_PROXY=" + proxy.URL, "NO_PROXY="},
		"--server",
		"http://snapwatch.test:8420",
		"--state-dir",
		t.TempDir(),
		"--machine-id",
		"m",
	)
	until(t, "a snapshot is stored", func() bool {
		var stored int
		row(t, dir, `SELECT count(*) FROM snapshots`, &stored)
		return stored > 0
	})
	if first := <-asked; !strings.HasPrefix(first, "http://snapwatch.test:8420/") {
		t.Errorf("the proxy was asked for %s", first)
	}
}

// Settings come from a file as well, which the environment and flags override; the agent
// serves its own figures, which Prometheus reads without a complaint.
func TestSettingsFileAndMetrics(t *testing.T) {
	t.Parallel()
	file, address := filepath.Join(t.TempDir(), "agent.env"), freeAddress(t)
	text := fmt.Sprintf(
		"SNAPWATCH_SERVER=http://%s\nSNAPWATCH_STATE_DIR=%s\nSNAPWATCH_MACHINE_ID=of-the-file\nSNAPWATCH_METRICS_LISTEN=%s\nSNAPWATCH_LOG_FORMAT=json\n",
		freeAddress(t),
		t.TempDir(),
		address,
	)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	agent := startWatcher(t, "", []string{"SNAPWATCH_LOG_FORMAT=text"}, "--config", file, "--machine-id", "of-the-flag")
	agent.says(t, "machine_id=of-the-flag")
	until(t, "it has recorded", func() bool { return agent.taken() >= 2 })
	var body []byte
	until(t, "it serves figures", func() bool {
		answer, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		body, err = io.ReadAll(answer.Body)
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
	if n := value("snapshots_recorded_total"); n < 2 || value("snapshots_waiting") < 2 ||
		value("snapshots_sent_total") != 0 ||
		value("processes") < 2 ||
		value("resident_bytes") < 1<<20 {
		t.Errorf("%s", body)
	}
	check := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	check.Stdin = bytes.NewReader(body)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v %s", err, out)
	}
}

// A dry run prints what would be sent, and sends nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	web := httptest.NewServer(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it asked for %s", r.URL) }),
	)
	defer web.Close()
	state := filepath.Join(t.TempDir(), "state")
	cmd := exec.CommandContext(
		ctx, filepath.Join(binaries, "snapwatch-agent"), "run", "--dry-run", "--server", web.URL, "--state-dir",
		state,
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
		t.Errorf("it ended with %d", code)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("it made a state directory")
	}
}
