//go:build linux

package main_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/snapwatch/snapwatch/internal/testport"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/internal/tlscert/tlscerttest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// documentedNginx returns the configurations of nginx in docs/reverse-proxy.md: for a host name, for a path that nginx
// keeps, and for a path that it removes.
func documentedNginx(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/reverse-proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, match := range regexp.MustCompile("(?s)```nginx\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, match[1])
	}
	if len(blocks) != 3 {
		t.Fatalf("docs/reverse-proxy.md has %d configurations of nginx, want 3", len(blocks))
	}
	return blocks
}

// startNginx runs nginx with a documented configuration. It replaces the addresses and files in it.
func startNginx(t *testing.T, config, listen, upstream, certificate, key string) {
	t.Helper()
	for _, replacement := range [][2]string{
		{"    listen [::]:443 ssl;\n", ""},
		{"listen 443 ssl;", "listen " + listen + " ssl;"},
		{"/etc/ssl/snapwatch/fullchain.pem", certificate},
		{"/etc/ssl/snapwatch/privkey.pem", key},
		{"http://127.0.0.1:8420", "http://" + upstream},
	} {
		if strings.Count(config, replacement[0]) != 1 {
			t.Fatalf("the documented configuration does not have %q once:\n%s", replacement[0], config)
		}
		config = strings.Replace(config, replacement[0], replacement[1], 1)
	}
	dir := storetest.Dir(t)
	head := "daemon off;\npid " + dir + "/nginx.pid;\nerror_log stderr;\nevents {}\n"
	if os.Geteuid() == 0 {
		head += "user root;\n" // by default, the workers have another user, who cannot use the folder
	}
	head += "http {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		head += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	writeFile(t, dir+"/nginx.conf", []byte(head+config+"}\n"))
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx" // the folder is not in the PATH of every user
	}
	log := &logBuffer{}
	cmd := exec.Command(path, "-p", dir, "-e", "stderr", "-c", dir+"/nginx.conf")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start nginx: %v; deploy/require.sh nginx installs it", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
	})
	testwait.Until(t, "nginx to listen", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("nginx ended: %v\n%s", err, log)
		default:
		}
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", listen)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// browser sends requests as the pages of the server do, with a cookie jar. It also sends what a client can forge, which
// proxy and server must not use.
type browser struct {
	*http.Client
	t      *testing.T
	origin string
	next   http.RoundTripper
}

// newBrowser returns a browser that trusts an authority and finds all host names at an address.
func newBrowser(t *testing.T, ca *tlscerttest.CA, origin, address string) *browser {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, origin: origin, next: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	b.Client = &http.Client{Transport: b, Jar: jar}
	t.Cleanup(b.CloseIdleConnections)
	return b
}

// RoundTrip sends a request.
func (b *browser) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	forged := map[string]string{
		"X-Forwarded-For":    "198.51.100.7",
		"X-Forwarded-Host":   "evil.example",
		"X-Forwarded-Proto":  "http",
		"X-Forwarded-Prefix": "/evil",
		"Forwarded":          "for=198.51.100.7;host=evil.example;proto=http",
	}
	for name, value := range forged {
		r.Header.Set(name, value)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if r.Method != http.MethodGet {
		r.Header.Set("Origin", b.origin)
	}
	return b.next.RoundTrip(r)
}

// CloseIdleConnections closes connections without a request.
func (b *browser) CloseIdleConnections() {
	if next, ok := b.next.(*http.Transport); ok {
		next.CloseIdleConnections()
	}
}

// do sends a request and returns the response with its body.
func (b *browser) do(method, url, body string) (*http.Response, string) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := b.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response, string(text)
}

// TestReverseProxy runs nginx with the configurations of docs/reverse-proxy.md, with TLS and on a port other than 443,
// and uses the server through it as a browser and an agent do.
func TestReverseProxy(t *testing.T) {
	t.Parallel()
	documented := documentedNginx(t)
	for i, test := range []struct{ name, host, basePath, path, cookiePrefix string }{
		{"host name", "snapwatch.example.org", "", "", "__Host-"},
		{"path kept", "example.org", "/snapwatch", "/snapwatch", "__Secure-"},
		{"path removed", "example.org", "", "/snapwatch", "__Secure-"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir, file := dataDir(t), files(t)
			p := start(t, "serve", dir, "127.0.0.1:0", "--trusted-proxies", "127.0.0.1,::1",
				"--allowed-hosts", test.host+":443,127.0.0.1", "--base-path", test.basePath) // for any port
			if !strings.HasSuffix(p.url, test.basePath) {
				t.Errorf("the server's address is %s", p.url)
			}
			if out, err := exec.CommandContext(t.Context(), program("snapwatch"), "ready", "--server", p.url).
				CombinedOutput(); err != nil {
				t.Errorf("%v %s", err, out)
			}
			ca := tlscerttest.NewCA(t)
			ca.Issue(t, file("cert.pem"), file("key.pem"), test.host)
			writeFile(t, file("ca.pem"), ca.PEM)
			listen := testport.FreeAddress(t)
			upstream := strings.TrimSuffix(strings.TrimPrefix(p.url, "http://"), test.basePath)
			startNginx(t, documented[i], listen, upstream, file("cert.pem"), file("key.pem"))

			_, port, _ := net.SplitHostPort(listen)
			origin := "https://" + test.host + ":" + port
			b := newBrowser(t, ca, origin, listen)
			site := origin + test.path
			checkBrowser(t, b, p, site, test.path, test.cookiePrefix)

			startAgent(t, []string{"SNAPWATCH_ENROLMENT_KEY=" + enrolmentKey(t, dir, "the test's")},
				"--server", "https://"+listen+test.path, "--ca-file", file("ca.pem"),
				"--state-dir", storetest.Dir(t), "--machine-id", "web-1")
			checkLive(t, b, site)

			response, text := b.do(http.MethodPost, site+"/api/v1/auth/logout", "")
			if response.StatusCode != http.StatusNoContent {
				t.Errorf("sign out: %s %s", response.Status, text)
			}
			response, _ = b.do(http.MethodGet, site+"/api/v1/me", "")
			if response.StatusCode != http.StatusUnauthorized {
				t.Errorf("after signing out: %s", response.Status)
			}
			for _, warning := range []string{"proxy header", "X-Forwarded", "evil"} {
				if strings.Contains(p.log.String(), warning) {
					t.Errorf("the log has %q:\n%s", warning, p.log)
				}
			}
		})
	}
}

// TestBasePathSettings checks that the server refuses settings that cannot work with a base path, before it starts a
// database.
func TestBasePathSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		arguments []string
		message   string
	}{
		{[]string{"--base-path", "snapwatch"}, "--base-path"},
		{[]string{"--base-path", "//snapwatch.example.org"}, "--base-path"},
		{[]string{
			"--base-path", "/snapwatch", "--oidc-issuer", "https://id.example.org", "--oidc-client-id", "snapwatch",
			"--oidc-redirect-url", "https://example.org/api/v1/auth/oidc/callback", "--oidc-user-values", "*",
		}, "/snapwatch/api/v1/auth/oidc/callback"},
	} {
		cmd := exec.CommandContext(t.Context(), program("snapwatch"), append([]string{
			"serve", "--listen", "127.0.0.1:0", "--data-dir", storetest.Dir(t), "--postgres-bin", "/nonexistent",
		}, test.arguments...)...)
		cmd.Env = append(os.Environ(), "DATABASE_URL=")
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), test.message) {
			t.Errorf("%v: %v %s", test.arguments, err, out)
		}
	}
}

// checkBrowser creates the first account through the proxy, which signs in, and requests pages and documents.
func checkBrowser(t *testing.T, b *browser, p *process, site, path, cookiePrefix string) {
	t.Helper()
	_, secret, found := strings.Cut(<-p.links, "/setup#")
	if !found {
		t.Fatal("the server printed no setup link")
	}
	response, text := b.do(http.MethodPost, site+"/api/v1/auth/setup",
		fmt.Sprintf(`{"secret": %q, "name": "owner", "password": "correct horse battery"}`, secret))
	if response.StatusCode != http.StatusOK || len(response.Cookies()) != 2 {
		t.Fatalf("set up: %s %s %v", response.Status, text, response.Header)
	}
	for _, cookie := range response.Cookies() {
		want := path
		if want == "" {
			want = "/"
		}
		if !strings.HasPrefix(cookie.Name, cookiePrefix) || cookie.Path != want || !cookie.Secure ||
			cookie.Domain != "" {
			t.Errorf("the cookie %s", cookie)
		}
	}
	if response.Header.Get("Strict-Transport-Security") == "" {
		t.Error("the server does not notice TLS")
	}
	document := `"paths":{`
	if path != "" {
		document = `"servers":[{"url":"` + path + `"}]`
	}
	page := `<base href="` + path + `/"` // needs make build
	for url, want := range map[string]string{
		site + "/api/v1/me":                   `"name":"owner"`,
		site + "/api/v1/audit?action=login":   `"address":"127.0.0.1"`,
		site + "/api/v1/me/sessions":          `"address":"127.0.0.1"`,
		site + "/api/v1/openapi.json":         document,
		site + "/healthz":                     `"alive"`,
		site + "/readyz":                      `"ready"`,
		site + "/metrics":                     "snapwatch_http_request_seconds",
		site + "/machines/web-1?sort=cpu":     page,
		site + "/processes/kworker%2F0%3A1":   page,
		site:                                  page, // nginx redirects to the slash, if there is a path
		site + "/icon.svg":                    "<svg",
		site + "/api/v1/auth/methods":         `"setup_needed":false`,
		site + "/api/v1/machines/a%2Fb?x=%00": `"code"`, // refused by the server and not by the proxy
	} {
		if _, text := b.do(http.MethodGet, url, ""); !strings.Contains(text, want) {
			t.Errorf("%s: %s, want %s", url, text, want)
		}
	}
	large := bytes.Repeat([]byte(" "), 6<<20) // more than a proxy accepts by default
	response, text = b.do(http.MethodPost, site+"/api/v1/snapshots", string(large))
	if response.Header.Get("X-Request-Id") == "" || !strings.Contains(text, `"code"`) {
		t.Errorf("a large post: %s %s", response.Status, text)
	}
}

// checkLive opens the live view through the proxy, and waits for a snapshot of the machine web-1. A page on another
// port must not open it.
func checkLive(t *testing.T, b *browser, site string) {
	t.Helper()
	ctx, cancel := testwait.Context(t)
	defer cancel()
	testwait.Until(t, "a snapshot of the agent behind the proxy", func() bool {
		response, _ := b.do(http.MethodGet, site+"/api/v1/machines/web-1/snapshots", "")
		return response.StatusCode == http.StatusOK
	})
	handshake := func(origin string) (*websocket.Conn, *http.Response, error) {
		same := *b
		same.origin = origin
		header := http.Header{"Origin": {origin}}
		return websocket.Dial(ctx, strings.Replace(site, "https", "wss", 1)+"/api/v1/live",
			&websocket.DialOptions{HTTPClient: &http.Client{Transport: &same, Jar: b.Jar}, HTTPHeader: header})
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(b.origin, "https://"), ":")
	for _, origin := range []string{"https://" + host, "https://" + host + ":1", "https://evil.example"} {
		socket, response, err := handshake(origin)
		if err == nil {
			_ = socket.CloseNow()
		}
		if err == nil || response == nil || response.StatusCode != http.StatusForbidden {
			t.Errorf("a page of %s opens the live view: %v", origin, err)
		}
	}
	socket, _, err := handshake(b.origin)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	socket.SetReadLimit(16 << 20)
	err = socket.Write(ctx, websocket.MessageText, []byte(`{"action":"subscribe","machine_id":"web-1","changes":true}`))
	if err != nil {
		t.Fatal(err)
	}
	for {
		_, text, err := socket.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte(`"changes_message"`)) {
			return
		}
	}
}
