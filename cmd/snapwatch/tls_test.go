//go:build linux

package main_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/tlscert/tlscerttest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// With a certificate the server speaks TLS and nothing else, an agent that knows the
// authority reports, one that does not says why, and a new certificate is taken.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir, folder := storetest.Dir(t), t.TempDir()
	ca := tlscerttest.NewCA(t)
	cert, key, authority := filepath.Join(
		folder, "cert.pem",
	), filepath.Join(
		folder, "key.pem",
	), filepath.Join(
		folder, "ca.pem",
	)
	ca.Issue(t, cert, key, "first.test")
	if err := os.WriteFile(authority, ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "serve", dir, "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(p.url, "https://") {
		t.Fatalf("it is at %s", p.url)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	ask := func() *http.Response {
		t.Helper()
		client := &http.Client{
			Transport: &http.Transport{
				TLSClientConfig:   &tls.Config{RootCAs: roots},
				DisableKeepAlives: true,
				ForceAttemptHTTP2: true,
			},
		}
		response, err := client.Get(p.url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response
	}
	first := ask()
	if first.StatusCode != http.StatusOK || first.ProtoMajor != 2 ||
		first.Header.Get("Strict-Transport-Security") == "" ||
		first.TLS.PeerCertificates[0].DNSNames[0] != "first.test" {
		t.Errorf("%s %s %v", first.Status, first.Proto, first.Header)
	}
	if response, err := http.Get(strings.Replace(p.url, "https", "http", 1) + "/readyz"); err == nil {
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			t.Error("it answers without TLS")
		}
	}

	stranger := exec.CommandContext(
		t.Context(), filepath.Join(binaries, "snapwatch-agent"), "--server", p.url, "--state-dir", storetest.Dir(t),
	)
	stranger.Env = append(os.Environ(), "SNAPWATCH_TOKEN="+p.token)
	log := &lockedBuffer{}
	stranger.Stderr = log
	knows := exec.CommandContext(
		t.Context(), filepath.Join(binaries, "snapwatch-agent"), "--server", p.url, "--state-dir", storetest.Dir(t),
		"--machine-id", "knows", "--ca-file", authority,
	)
	enrolment, err := shell(t, dir, "", "key", "add", "the test's")
	if err != nil {
		t.Fatal(err)
	}
	knows.Env = append(os.Environ(), "SNAPWATCH_ENROLMENT_KEY="+enrolment)
	for _, cmd := range []*exec.Cmd{stranger, knows} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	until(t, "the agent's snapshot", func() bool {
		request, err := http.NewRequestWithContext(
			t.Context(), http.MethodGet, p.url+"/api/v1/machines/knows/snapshots", nil,
		)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+p.token)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	until(t, "the stranger's reason", func() bool { return strings.Contains(log.String(), "certificate") })

	ca.Issue(t, cert, key, "second.example.test")
	until(
		t, "the new certificate",
		func() bool { return ask().TLS.PeerCertificates[0].DNSNames[0] == "second.example.test" },
	)

	for _, args := range [][]string{{"--tls-cert", cert}, {"--tls-key", key}, {"--tls-cert", key, "--tls-key", cert}} {
		cmd := exec.CommandContext(
			t.Context(),
			filepath.Join(binaries, "snapwatch"),
			append([]string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0"}, args...)...)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(strings.ToLower(string(out)), "tls") {
			t.Errorf("%v: %v %s", args, err, out)
		}
	}
}

// With an authority for agents, those need a certificate of it besides their token;
// people do not.
func TestAgentCertificates(t *testing.T) {
	t.Parallel()
	dir, folder := storetest.Dir(t), t.TempDir()
	server, agents, others := tlscerttest.NewCA(t), tlscerttest.NewCA(t), tlscerttest.NewCA(t)
	file := func(name string) string { return filepath.Join(folder, name) }
	server.Issue(t, file("cert.pem"), file("key.pem"), "server.test")
	agents.Issue(t, file("agent.pem"), file("agent.key"), "agent")
	others.Issue(t, file("other.pem"), file("other.key"), "agent")
	for name, text := range map[string][]byte{"ca.pem": server.PEM, "agents.pem": agents.PEM} {
		if err := os.WriteFile(file(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(
		t, "serve", dir, "127.0.0.1:0", "--tls-cert", file("cert.pem"), "--tls-key", file("key.pem"), "--agent-ca",
		file("agents.pem"),
	)
	key, err := shell(t, dir, "", "key", "add", "two", "--uses", "2")
	if err != nil {
		t.Fatal(err)
	}
	run := func(machineID string, args ...string) *lockedBuffer {
		cmd := exec.CommandContext(
			t.Context(),
			filepath.Join(binaries, "snapwatch-agent"),
			append(
				[]string{
					"--server",
					p.url,
					"--ca-file",
					file("ca.pem"),
					"--state-dir",
					storetest.Dir(t),
					"--machine-id",
					machineID,
				},
				args...)...)
		cmd.Env = append(os.Environ(), "SNAPWATCH_ENROLMENT_KEY="+key)
		log := &lockedBuffer{}
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		return log
	}
	without, wrong := run(
		"without",
	), run(
		"wrong", "--client-cert", file("other.pem"), "--client-key", file("other.key"),
	)
	run("with", "--client-cert", file("agent.pem"), "--client-key", file("agent.key"))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(server.PEM)
	people := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	until(t, "the certified agent's snapshot", func() bool {
		request, err := http.NewRequestWithContext(
			t.Context(), http.MethodGet, p.url+"/api/v1/machines/with/snapshots", nil,
		)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+p.token)
		response, err := people.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	until(
		t, "what the agent without one is told",
		func() bool { return strings.Contains(without.String(), "certificate_needed") },
	)
	until(
		t, "what the agent with a wrong one is told",
		func() bool { return strings.Contains(wrong.String(), "certificate") },
	)
	for _, args := range [][]string{{"--agent-ca", file("agents.pem")}, {"--agent-ca", file("key.pem"), "--tls-cert", file("cert.pem"), "--tls-key", file("key.pem")},
		{"--acme-domains", "a.test", "--tls-cert", file("cert.pem"), "--tls-key", file("key.pem")}, {"--trusted-proxies", "everybody"}, {"--oidc-issuer", "https://issuer.test"}} {
		cmd := exec.CommandContext(
			t.Context(),
			filepath.Join(binaries, "snapwatch"),
			append([]string{"serve", "--data-dir", storetest.Dir(t), "--listen", "127.0.0.1:0"}, args...)...)
		if out, err := cmd.CombinedOutput(); err == nil ||
			!strings.Contains(string(out), args[0]) && !strings.Contains(string(out), "certificate") {
			t.Errorf("%v: %v %s", args, err, out)
		}
	}
}

// until asks again until something is true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 600 {
		if is() {
			return
		}
		<-tick.C
	}
	t.Fatalf("never came true: %s", what)
}
