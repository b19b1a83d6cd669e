package doctor

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/snapwatch/snapwatch/internal/finding"
)

// ignoredHeaders is the metric of requests whose proxy headers were ignored, by the scope of the sender's address.
const ignoredHeaders = "snapwatch_http_ignored_proxy_headers_total"

// maxOpenShare is the share of the limit of open files from which it is a problem.
const maxOpenShare = 0.8

// metrics are the metrics of the running server, by name. They are nil if they could not be read.
type metrics map[string]*dto.MetricFamily

// readMetrics reads the metrics of the server on the admin address or, with the token of the settings, on the public
// one. It returns nil if neither is set.
func (c *Config) readMetrics(ctx context.Context, client *http.Client, address string) (metrics, error) {
	admin, err := c.AdminClient()
	if err != nil {
		return nil, err
	}
	token := c.Access.MetricsToken
	switch {
	case admin != nil: // its client sends the token that it needs
		client, address = admin, "http://localhost"
		token = ""
	case token == "":
		return nil, nil
	}
	got, err := Get(ctx, client, address+"/metrics", token)
	if err != nil {
		return nil, fmt.Errorf("read the metrics: %w", err)
	}
	if got.Status != http.StatusOK {
		return nil, fmt.Errorf("read the metrics: the server responds with %d", got.Status)
	}
	return parseMetrics(got.Body)
}

// parseMetrics parses metrics in the format of Prometheus.
func parseMetrics(text []byte) (metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read the metrics: %w", err)
	}
	return families, nil
}

// value returns the value of a metric without labels.
func (m metrics) value(name string) (float64, bool) {
	family := m[name]
	if family == nil || len(family.GetMetric()) != 1 {
		return 0, false
	}
	metric := family.GetMetric()[0]
	return metric.GetGauge().GetValue() + metric.GetUntyped().GetValue(), true
}

// ignoredFrom returns the number of requests whose proxy headers were ignored, of senders in a scope.
func (m metrics) ignoredFrom(scope string) (n float64) {
	for _, metric := range m[ignoredHeaders].GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetName() == "scope" && label.GetValue() == scope {
				n += metric.GetCounter().GetValue()
			}
		}
	}
	return n
}

// neededFiles returns how many files the server may have open: one for each connection, and some more.
func (c *Config) neededFiles() uint64 {
	return uint64(c.Access.MaxConnections + c.Server.MaxConns + c.Server.MaxSockets + 200)
}

// checkFileLimit checks the limit of open files of the running server, or of this process if the server's is unknown.
func (c *Config) checkFileLimit(m metrics) finding.Finding {
	const what, fix = "open files", "raise LimitNOFILE of the service or ulimit -n for the server, or lower " +
		"--max-connections"
	needed := c.neededFiles()
	if limit, known := m.value("process_max_fds"); known {
		open, _ := m.value("process_open_fds")
		detail := fmt.Sprintf("the server has %.0f of %.0f open, and --max-connections needs %d", open, limit, needed)
		switch {
		case open >= maxOpenShare*limit:
			return problem(what, detail, fix)
		case limit < float64(needed):
			return note(what, detail, fix)
		}
		return good(what, detail)
	}
	limit := ownFileLimit()
	if limit == 0 {
		return good(what, "this system has no limit")
	}
	detail := fmt.Sprintf("a server that is started here may open %d, and --max-connections needs %d", limit, needed)
	if limit < needed {
		return note(what, detail, fix)
	}
	return good(what, detail)
}

// checkProxies checks the trusted proxies, and compares them with what has arrived at the server.
func (c *Config) checkProxies(m metrics) finding.Finding {
	const what = "trusted proxies"
	for _, text := range c.Access.TrustedProxies {
		text = strings.TrimSpace(text)
		if _, err := netip.ParseAddr(text); err == nil {
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return problem(
				what,
				fmt.Sprintf("%q is neither an IP address nor a network", text),
				"correct --trusted-proxies",
			)
		}
		if network.Bits() == 0 {
			return problem(
				what,
				"every address is trusted ("+text+"), so any client can pretend to have another address",
				"set --trusted-proxies to the addresses of the proxies",
			)
		}
	}
	list := strings.Join(c.Access.TrustedProxies, ", ")
	if list == "" {
		list = "none"
	}
	// Any client can send the headers. Those from this machine or a private network are probably from a proxy.
	if near := m.ignoredFrom("loopback") + m.ignoredFrom("private"); near > 0 {
		return problem(
			what,
			fmt.Sprintf("%s; the headers of %.0f requests of other proxies on this machine or in a private "+
				"network were ignored", list, near),
			"if they are from your proxy, add its address to --trusted-proxies; the server's log has the address",
		)
	}
	if m.ignoredFrom("public") > 0 {
		return note(what, list+"; some public addresses sent headers of proxies, which were ignored",
			"if they are from your proxy, add its address to --trusted-proxies; the server's log has the address")
	}
	if m == nil {
		return note(
			what,
			list,
			"set --admin-listen or SNAPWATCH_METRICS_TOKEN, so that this command can compare them with "+
				"what arrives",
		)
	}
	return good(what, list+"; no headers of other proxies have arrived")
}
