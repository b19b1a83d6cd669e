//go:build linux

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/snapwatch/snapwatch/internal/testport"
	"github.com/snapwatch/snapwatch/internal/testwait"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

// prometheusFolder holds the configuration and the rules.
const prometheusFolder = "../../deploy/prometheus"

func tool(t *testing.T, dir, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestPrometheusRules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tool(t, dir, "", "promtool", "check", "config", prometheusConfig(t, dir, "server:8420", "a token"))
	tool(t, prometheusFolder, "", "promtool", "check", "rules", "recording.yml", "alerts.yml")
	tool(t, prometheusFolder, "", "promtool", "test", "rules", "alerts_test.yml")
	// Each alert has a test that shows it firing, and a section of docs/alerts.md.
	rules, tests := read(t, prometheusFolder+"/alerts.yml"), read(t, prometheusFolder+"/alerts_test.yml")
	advice := read(t, "../../docs/alerts.md")
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1)
	if len(alerts) < 10 {
		t.Fatalf("%d alerts", len(alerts))
	}
	for _, match := range alerts {
		name := match[1]
		if !strings.Contains(tests, "alertname: "+name+"\n") {
			t.Errorf("no test shows %s firing", name)
		}
		if !strings.Contains(advice, "## "+name+"\n") ||
			!strings.Contains(rules, "docs/alerts.md#"+strings.ToLower(name)+"\n") {
			t.Errorf("%s has no section in docs/alerts.md, or does not link to it", name)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A real Prometheus scrapes a real server with a real agent. Each metric that rules and dashboards
// name exists, and each of their queries has a result.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	const metricsToken = "a token of the settings, for Prometheus"
	p := start(t, "up", dir, "127.0.0.1:0", "--metrics-token", metricsToken)
	machineID := firstMachine(t, p.url)
	for _, path := range []string{
		"/machines/" + machineID + "/at?time=" + url.QueryEscape(time.Now().UTC().Format(time.RFC3339)),
		"/machines/" + machineID + "/processes?since=1h",
		"/machines/" + machineID + "/metrics?since=1h",
		"/storage",
	} {
		if status, text := fetch(t, p.url+"/api/v1"+path); status != http.StatusOK && status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	// After the first maintenance run, and after a second snapshot, which is the first with CPU usage.
	server := fetchWith(t, p.url+"/metrics", "\nsnapwatch_store_relation_bytes{")
	machines := fetchWith(t, p.url+"/metrics/machines", "\nsnapwatch_machine_cpu_usage_ratio{")
	for _, text := range []string{server, machines} {
		if out := tool(t, ".", text, "promtool", "check", "metrics"); out != "" {
			t.Errorf("promtool rejects the metrics:\n%s", out)
		}
	}
	checkReference(t, parse(t, server), parse(t, machines))
	checkNative(t, p.url)

	prom := startPrometheus(t, strings.TrimPrefix(p.url, "http://"), metricsToken)
	prom.await(t, `count_over_time(up{job="snapwatch"}[30s]) >= 6 and on () up{job="snapwatch"} == 1`)
	prom.await(t, `up{job="snapwatch-machines"} == 1`)
	prom.await(t, `snapwatch:store_snapshots:rate5m > 0`)
	t.Run("rules", func(t *testing.T) { prom.rulesAreHealthy(t) })
	t.Run("dashboards", func(t *testing.T) { prom.dashboardsAnswer(t) })
	t.Run("names", func(t *testing.T) { prom.namesAreKnown(t) })
	t.Run("the server stops", func(t *testing.T) {
		p.stop(t)
		prom.await(t, `up{job="snapwatch"} == 0`)
	})
}

func fetch(t *testing.T, address string) (int, string) {
	t.Helper()
	response, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// fetchWith repeats a GET request until the response contains a text.
func fetchWith(t *testing.T, address, text string) (got string) {
	t.Helper()
	testwait.Until(t, address+" with "+text, func() bool {
		_, got = fetch(t, address)
		return strings.Contains(got, text)
	})
	return got
}

// firstMachine waits for the first snapshot of an agent, and returns its machine's id.
func firstMachine(t *testing.T, address string) (machineID string) {
	t.Helper()
	testwait.Until(t, "the first snapshot of a machine", func() bool {
		var list struct {
			Results []struct {
				MachineID    string  `json:"machine_id"`
				LastSnapshot *string `json:"last_snapshot"`
			}
		}
		_, text := fetch(t, address+"/api/v1/machines")
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Results) == 0 || list.Results[0].LastSnapshot == nil {
			return false
		}
		machineID = list.Results[0].MachineID
		return true
	})
	return machineID
}

func parse(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// checkReference compares docs/metrics.md with the metrics that the server exports.
func checkReference(t *testing.T, server, machines map[string]*dto.MetricFamily) {
	t.Helper()
	var b strings.Builder
	b.WriteString(strings.ReplaceAll(`# Metrics

The server exports its own metrics at ~/metrics~ and the latest values of all machines at ~/metrics/machines~.
Histograms have classic and native buckets. The server also exports the metrics of the Go runtime (~go_…~), of
its process (~process_…~) and of the scrapes (~promhttp_…~). An agent can export metrics of its own: see
[agent.md](agent.md).

[alerts.md](alerts.md) explains what to do when a metric looks wrong. ~make generate~ generates this page from a
running server, and a test checks that it is up to date.
`, "~", "`"))
	for _, part := range []struct {
		title    string
		families map[string]*dto.MetricFamily
	}{{"The server: `/metrics`", server}, {"The machines: `/metrics/machines`", machines}} {
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n", part.title)
		for _, name := range slices.Sorted(maps.Keys(part.families)) {
			if !strings.HasPrefix(name, "snapwatch_") {
				continue
			}
			family := part.families[name]
			labels := make(map[string]bool)
			for _, metric := range family.GetMetric() {
				for _, label := range metric.GetLabel() {
					labels["`"+label.GetName()+"`"] = true
				}
			}
			fmt.Fprintf(
				&b,
				"| `%s` | %s | %s | %s |\n",
				name,
				strings.ToLower(family.GetType().String()),
				strings.Join(slices.Sorted(maps.Keys(labels)), ", "),
				family.GetHelp(),
			)
		}
	}
	const file = "../../docs/metrics.md"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, file) != b.String() {
		t.Errorf("docs/metrics.md is stale: run make generate\n%s", b.String())
	}
}

// checkNative scrapes as a Prometheus with native histograms does.
func checkNative(t *testing.T, address string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(
		"Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
	)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	decoder := expfmt.NewDecoder(response.Body, expfmt.ResponseFormat(response.Header))
	native := 0
	for {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); err != nil {
			break
		}
		for _, metric := range family.GetMetric() {
			if h := metric.GetHistogram(); h != nil && strings.HasPrefix(family.GetName(), "snapwatch_") {
				if h.Schema == nil || len(h.GetBucket()) == 0 {
					t.Errorf("%s lacks native or classic buckets", family.GetName())
				}
				native++
			}
		}
	}
	if native < 10 {
		t.Errorf("%d histograms", native)
	}
}

// prometheus is a running Prometheus.
type prometheus struct{ url string }

// prometheusConfig writes the configuration of deploy/prometheus for another target and token.
func prometheusConfig(t *testing.T, dir, target, token string) string {
	t.Helper()
	text := read(t, prometheusFolder+"/prometheus.yml")
	text = strings.ReplaceAll(text, "15s", "1s")
	text = strings.ReplaceAll(text, "server:8420", target)
	secret := filepath.Join(dir, "token")
	text = strings.ReplaceAll(text, "/run/secrets/metrics_token", secret)
	file := filepath.Join(dir, "prometheus.yml")
	for name, content := range map[string]string{
		file:                                text,
		secret:                              token,
		filepath.Join(dir, "recording.yml"): read(t, prometheusFolder+"/recording.yml"),
		filepath.Join(dir, "alerts.yml"):    read(t, prometheusFolder+"/alerts.yml"),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

func startPrometheus(t *testing.T, target, token string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	file := prometheusConfig(t, dir, target, token)
	address := testport.FreeAddress(t)
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(
		ctx, "prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn",
	)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus: %s", log.String())
		}
	})
	return &prometheus{url: "http://" + address}
}

// query reads a path of its API into v; false if it is not ready yet.
func (p *prometheus) query(t *testing.T, path string, v any) bool {
	t.Helper()
	response, err := http.Get(p.url + "/api/v1" + path)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode == http.StatusServiceUnavailable {
		return false
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", path, response.Status, text)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v in %s", path, err, text)
	}
	return true
}

type series struct {
	Data struct {
		Result []struct{ Metric map[string]string }
	}
}

// await waits until a query has a result. Prometheus does not announce its scrapes, so await polls.
func (p *prometheus) await(t *testing.T, query string) {
	t.Helper()
	testwait.Until(t, query, func() bool {
		var got series
		return p.query(t, "/query?query="+url.QueryEscape(query), &got) && len(got.Data.Result) > 0
	})
}

func (p *prometheus) rulesAreHealthy(t *testing.T) {
	var rules struct {
		Data struct {
			Groups []struct {
				Name  string
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	n := 0
	if !p.query(t, "/rules", &rules) {
		t.Fatal("no rules")
	}
	for _, group := range rules.Data.Groups {
		for _, rule := range group.Rules {
			n++
			if rule.Health != "ok" {
				t.Errorf("%s: %s %s", rule.Name, rule.Health, rule.LastError)
			}
		}
	}
	if n < 20 {
		t.Errorf("%d rules", n)
	}
}

// expressions returns the queries of the dashboards.
func expressions(t *testing.T) (list []string) {
	t.Helper()
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal([]byte(read(t, "../../grafana/dashboards/health.json")), &d); err != nil {
		t.Fatal(err)
	}
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			if target.Expr != "" {
				list = append(list, strings.ReplaceAll(target.Expr, "$__rate_interval", "10s"))
			}
		}
	}
	if len(list) < 20 {
		t.Fatalf("%d queries", len(list))
	}
	return list
}

// dashboardsAnswer runs the dashboards' queries. Those that end with > 0 may have no result.
func (p *prometheus) dashboardsAnswer(t *testing.T) {
	now := time.Now()
	for _, expr := range expressions(t) {
		var got series
		path := fmt.Sprintf(
			"/query_range?query=%s&start=%d&end=%d&step=1", url.QueryEscape(expr), now.Unix()-5, now.Unix(),
		)
		if !p.query(t, path, &got) {
			t.Fatal("no response")
		}
		if len(got.Data.Result) == 0 && !strings.HasSuffix(expr, "> 0") {
			t.Errorf("%s has no result", expr)
		}
	}
}

// namesAreKnown checks that each metric that rules and dashboards name exists.
func (p *prometheus) namesAreKnown(t *testing.T) {
	var names struct{ Data []string }
	if !p.query(t, "/label/__name__/values", &names) {
		t.Fatal("no names")
	}
	known := make(map[string]bool)
	for _, name := range names.Data {
		known[name] = true
	}
	pattern := regexp.MustCompile(`\bsnapwatch[a-z0-9_]*_[a-z0-9_]+\b`)
	texts := append(
		expressions(t), read(t, prometheusFolder+"/recording.yml"), read(t, prometheusFolder+"/alerts.yml"),
	)
	for _, text := range texts {
		text = regexp.MustCompile(`snapwatch:[a-z0-9_:]+`).ReplaceAllString(text, "")
		for _, name := range pattern.FindAllString(text, -1) {
			if !known[name] {
				t.Errorf("%s is used, and not exported", name)
			}
		}
	}
}
