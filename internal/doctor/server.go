package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/internal/basepath"
	"github.com/snapwatch/snapwatch/internal/finding"
)

const (
	requestTimeout = 10 * time.Second
	// maxResponse bounds the bodies that are read, in bytes.
	maxResponse = 16 << 20
)

// Response is a response of the running server.
type Response struct {
	Status int
	Date   string
	Body   []byte
}

// examineServer checks the running server.
func (c *Config) examineServer(ctx context.Context) []finding.Finding {
	address, client, err := c.Client()
	if err != nil {
		return []finding.Finding{problem("server", err.Error(), "correct --server")}
	}
	defer client.CloseIdleConnections()
	findings, running := checkServer(ctx, client, address)
	if !running {
		return append(findings, c.checkFileLimit(nil), c.checkProxies(nil))
	}
	metrics, err := c.readMetrics(ctx, client, address)
	if err != nil {
		findings = append(findings, problem(
			"metrics",
			firstLine(err),
			"check SNAPWATCH_ADMIN_TOKEN, SNAPWATCH_METRICS_TOKEN and --admin-listen: they must be those of the server",
		))
	}
	return append(findings, c.checkFileLimit(metrics), c.checkProxies(metrics))
}

// checkServer requests the readiness of a server. It reports whether the server responds.
func checkServer(ctx context.Context, client *http.Client, address string) ([]finding.Finding, bool) {
	got, err := Get(ctx, client, address+"/readyz", "")
	if err != nil {
		return []finding.Finding{problem("server", firstLine(err), serverFix(err))}, false
	}
	var ready struct {
		Status string
		Checks []struct {
			Name, Reason string
			OK           bool
		}
		Code   string
		Detail string
		Errors []struct{ Field, Message string }
	}
	err = json.Unmarshal(got.Body, &ready, json.MatchCaseInsensitiveNames(true))
	isReady := got.Status == http.StatusOK && ready.Status != ""
	if err != nil || !isReady && ready.Code == "" {
		return []finding.Finding{
			problem("server", fmt.Sprintf("%s responds with %d, and not as a snapwatch server", address,
				got.Status), "set --server to the address of the server, with the base path if it has one"),
		}, false
	}
	findings := []finding.Finding{checkServerClock(got.Date, time.Now())}
	if isReady {
		findings = append(findings, good("server", address+" is "+ready.Status))
	} else {
		findings = append(findings, problem("server", address+" is not ready: "+ready.Detail, "see the findings "+
			"about its checks; "+
			"they go away by themselves once the cause is removed"))
	}
	for _, check := range ready.Checks {
		if !check.OK {
			findings = append(findings, problem("check "+check.Name, check.Reason, checkFix(check.Name)))
		}
	}
	for _, failure := range ready.Errors {
		findings = append(findings, problem("check "+failure.Field, failure.Message, checkFix(failure.Field)))
	}
	return findings, true
}

// checkFix says what to do about a check of /readyz that fails.
func checkFix(name string) string {
	switch name {
	case "database":
		return "check that the database runs and accepts changes, and read its log"
	case "posts":
		return "search the server's log for failed commits, and check the disk of the database"
	case "notifications":
		return "connect the server to the database itself, or to a pooler in session mode"
	case "rollups":
		return "search the server's log for the reason; the rollups are tried again"
	case "postgresql":
		return "read postgres.log in the data directory; the server tries to start the database again"
	case "disk":
		return "free some space, enlarge the file system, or set a shorter retention or a disk budget on the " +
			"storage page"
	}
	return "search the server's log for the reason"
}

// serverFix says what to do if a server does not respond.
func serverFix(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "this machine does not trust the CA of the certificate; set --tls-cert, or add the CA to those of " +
			"the system"
	case errors.As(err, &name):
		return "use a name of the certificate in --server"
	case errors.As(err, &invalid):
		return "renew the certificate, and check this machine's clock"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS"):
		return "the server uses plain HTTP: use http:// in --server, and set the same TLS settings as for the server"
	case strings.Contains(err.Error(), "malformed HTTP response"), strings.Contains(err.Error(), "EOF"):
		return "the server may use TLS: use https:// in --server"
	}
	return "start the server, or set --server to its address"
}

// checkServerClock compares the clocks of the server and of this machine.
func checkServerClock(date string, now time.Time) finding.Finding {
	const what = "server clock"
	serverTime, err := http.ParseTime(date)
	if err != nil {
		return good(what, "the server does not send its time")
	}
	skew := now.Sub(serverTime.Add(500 * time.Millisecond)).Round(time.Second) // Date has whole seconds
	if skew.Abs() > maxSkew {
		return problem(what, fmt.Sprintf("the clocks of the server and of this machine differ by %s", skew.Abs()),
			"synchronise both clocks, for example with chrony or systemd-timesyncd")
	}
	return good(what, "the clocks of the server and of this machine agree")
}

// Client returns the address of the running server, and a client for it. An address that is derived from the settings
// is on this machine, so that the client expects the certificate of the settings, with any of its names.
func (c *Config) Client() (address string, client *http.Client, err error) {
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}
	client = &http.Client{Transport: transport, Timeout: requestTimeout}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if pool, err := x509.SystemCertPool(); err == nil {
		trust.RootCAs = pool
	} else {
		trust.RootCAs = x509.NewCertPool()
	}
	name := ""
	if leaf := c.addOwnCertificate(trust.RootCAs); leaf != nil && len(leaf.DNSNames) > 0 {
		name = leaf.DNSNames[0]
	} else if len(c.TLS.ACMEDomains) > 0 {
		name = c.TLS.ACMEDomains[0]
	}
	transport.TLSClientConfig = trust
	if c.ServerURL != "" {
		parsed, err := url.Parse(c.ServerURL)
		if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
			return "", nil, fmt.Errorf("--server: %q is not an address such as http://127.0.0.1:8420", c.ServerURL)
		}
		return strings.TrimSuffix(c.ServerURL, "/"), client, nil
	}
	base, err := basepath.Parse(c.Server.BasePath)
	if err != nil {
		return "", nil, fmt.Errorf("--base-path: %w", err)
	}
	host, port, err := net.SplitHostPort(c.Server.Listen)
	if err != nil {
		return "", nil, fmt.Errorf("--listen: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http://"
	if c.TLS.TLSCert != "" || len(c.TLS.ACMEDomains) > 0 {
		scheme, trust.ServerName = "https://", name
	}
	return scheme + net.JoinHostPort(host, port) + base, client, nil
}

// addOwnCertificate adds the certificates of the settings to those that are trusted, and returns the first one.
func (c *Config) addOwnCertificate(pool *x509.CertPool) (leaf *x509.Certificate) {
	text, err := os.ReadFile(c.TLS.TLSCert)
	if err != nil {
		return nil
	}
	pool.AppendCertsFromPEM(text)
	if block, _ := pem.Decode(text); block != nil {
		leaf, _ = x509.ParseCertificate(block.Bytes) // nil if it is invalid, which examineTLS reports
	}
	return leaf
}

// Get sends a request, with a token unless it is "".
func Get(ctx context.Context, client *http.Client, address, token string) (*Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("create a request: %w", err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	received, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = received.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(received.Body, maxResponse))
	if err != nil {
		return nil, fmt.Errorf("read the response: %w", err)
	}
	return &Response{received.StatusCode, received.Header.Get("Date"), body}, nil
}
