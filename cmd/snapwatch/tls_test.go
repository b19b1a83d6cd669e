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

	"github.com/snapwatch/snapwatch/internal/bearer"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/internal/tlscert/tlscerttest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// files returns a function that names files in a folder of the test's own.
func files(t *testing.T) func(name string) string {
	t.Helper()
	folder := t.TempDir()
	return func(name string) string { return filepath.Join(folder, name) }
}

func writeFile(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// trusting returns a client that trusts a certificate authority and sends a token. Each
// request has a connection of its own.
func trusting(ca *tlscerttest.CA, token string) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	return &http.Client{Transport: bearer.Transport{
		Token: token,
		Next: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots},
			DisableKeepAlives: true,
			ForceAttemptHTTP2: true,
		},
	}}
}

// With a certificate the server accepts TLS only. An agent that trusts the authority reports, another
// logs why it does not. A new certificate is loaded without a restart.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir, file := dataDir(t), files(t)
	ca := tlscerttest.NewCA(t)
	cert, key, authority := file("cert.pem"), file("key.pem"), file("ca.pem")
	ca.Issue(t, cert, key, "first.test")
	writeFile(t, authority, ca.PEM)
	p := start(t, "serve", dir, "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(p.url, "https://") {
		t.Fatalf("the server's address is %s", p.url)
	}
	ready := func() *http.Response {
		t.Helper()
		response, err := trusting(ca, p.token).Get(p.url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response
	}
	first := ready()
	if first.StatusCode != http.StatusOK || first.ProtoMajor != 2 ||
		first.Header.Get("Strict-Transport-Security") == "" ||
		first.TLS.PeerCertificates[0].DNSNames[0] != "first.test" {
		t.Errorf("%s %s %v", first.Status, first.Proto, first.Header)
	}
	if response, err := http.Get(strings.Replace(p.url, "https", "http", 1) + "/readyz"); err == nil {
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			t.Error("the server responds without TLS")
		}
	}

	untrusting := startAgent(
		t, []string{"SNAPWATCH_TOKEN=" + p.token}, "--server", p.url, "--state-dir", storetest.Dir(t),
	)
	startAgent(
		t, []string{"SNAPWATCH_ENROLMENT_KEY=" + enrolmentKey(t, dir, "the test's")},
		"--server", p.url, "--state-dir", storetest.Dir(t), "--machine-id", "trusting", "--ca-file", authority,
	)
	people := trusting(ca, p.token)
	testwait.Until(t, "a snapshot of the agent that trusts the server", func() bool {
		return statusFrom(t, people, p.url+"/api/v1/machines/trusting/snapshots") == http.StatusOK
	})
	untrusting.log.contains(t, "certificate")

	ca.Issue(t, cert, key, "second.example.test")
	testwait.Until(t, "the new certificate", func() bool {
		return ready().TLS.PeerCertificates[0].DNSNames[0] == "second.example.test"
	})

	for _, args := range [][]string{
		{"--tls-cert", cert},
		{"--tls-key", key},
		{"--tls-cert", key, "--tls-key", cert},
	} {
		cmd := exec.CommandContext(
			t.Context(), program("snapwatch"),
			append([]string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0"}, args...)...,
		)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(strings.ToLower(string(out)), "tls") {
			t.Errorf("%v: %v %s", args, err, out)
		}
	}
}

// With a certificate authority for agents, agents need a certificate of it besides their token.
// People do not.
func TestAgentCertificates(t *testing.T) {
	t.Parallel()
	dir, file := dataDir(t), files(t)
	server, agents, others := tlscerttest.NewCA(t), tlscerttest.NewCA(t), tlscerttest.NewCA(t)
	server.Issue(t, file("cert.pem"), file("key.pem"), "server.test")
	agents.Issue(t, file("agent.pem"), file("agent.key"), "agent")
	others.Issue(t, file("other.pem"), file("other.key"), "agent")
	writeFile(t, file("ca.pem"), server.PEM)
	writeFile(t, file("agents.pem"), agents.PEM)
	tlsFiles := []string{"--tls-cert", file("cert.pem"), "--tls-key", file("key.pem")}
	p := start(t, "serve", dir, "127.0.0.1:0", append(tlsFiles, "--agent-ca", file("agents.pem"))...)
	key := enrolmentKey(t, dir, "two", "--uses", "2")
	run := func(machineID string, args ...string) *logBuffer {
		t.Helper()
		common := []string{
			"--server", p.url, "--ca-file", file("ca.pem"), "--state-dir", storetest.Dir(t), "--machine-id", machineID,
		}
		return startAgent(t, []string{"SNAPWATCH_ENROLMENT_KEY=" + key}, append(common, args...)...).log
	}
	without := run("without")
	wrong := run("wrong", "--client-cert", file("other.pem"), "--client-key", file("other.key"))
	run("with", "--client-cert", file("agent.pem"), "--client-key", file("agent.key"))
	people := trusting(server, p.token)
	testwait.Until(t, "a snapshot of the agent with a certificate", func() bool {
		return statusFrom(t, people, p.url+"/api/v1/machines/with/snapshots") == http.StatusOK
	})
	without.contains(t, "certificate_needed")
	wrong.contains(t, "certificate")
	for _, args := range [][]string{
		{"--agent-ca", file("agents.pem")},
		append([]string{"--agent-ca", file("key.pem")}, tlsFiles...),
		append([]string{"--acme-domains", "a.test"}, tlsFiles...),
		{"--trusted-proxies", "everybody"},
		{"--oidc-issuer", "https://issuer.test"},
	} {
		cmd := exec.CommandContext(
			t.Context(), program("snapwatch"),
			append([]string{"serve", "--data-dir", storetest.Dir(t), "--listen", "127.0.0.1:0"}, args...)...,
		)
		if out, err := cmd.CombinedOutput(); err == nil ||
			!strings.Contains(string(out), args[0]) && !strings.Contains(string(out), "certificate") {
			t.Errorf("%v: %v %s", args, err, out)
		}
	}
}

// The agent of snapwatch up reports to a server with a certificate for another name, with allowed host names, and that
// requires client certificates of agents. Other agents still need one.
func TestUpWithTLS(t *testing.T) {
	t.Parallel()
	file, ca, agents := files(t), tlscerttest.NewCA(t), tlscerttest.NewCA(t)
	ca.Issue(t, file("cert.pem"), file("key.pem"), "snapwatch.test")
	writeFile(t, file("ca.pem"), ca.PEM)
	writeFile(t, file("agents.pem"), agents.PEM)
	withTLS := []string{"--tls-cert", file("cert.pem"), "--tls-key", file("key.pem")}
	for name, args := range map[string][]string{
		"certificate":         withTLS,
		"client certificates": append([]string{"--agent-ca", file("agents.pem")}, withTLS...),
		"allowed hosts":       {"--allowed-hosts", "snapwatch.test"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, "up", dataDir(t), "127.0.0.1:0", args...)
			testwait.Until(t, "a snapshot of the local agent", func() bool { return storedSnapshots(t, p.dir) > 0 })
			if secure := strings.HasPrefix(p.url, "https://"); secure != (name != "allowed hosts") {
				t.Errorf("the address is %s", p.url)
			}
			if name != "client certificates" {
				return
			}
			other := startAgent(
				t, []string{"SNAPWATCH_ENROLMENT_KEY=" + enrolmentKey(t, p.dir, "other")}, "--server", p.url,
				"--ca-file", file("ca.pem"), "--state-dir", storetest.Dir(t), "--machine-id", "other",
			)
			other.log.contains(t, "certificate_needed")
		})
	}
}

// snapwatch up checks the settings of TLS and of ACME as serve does.
func TestUpChecksTheTLSSettings(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--tls-cert", "cert.pem"},
		{"--acme-domains", "a.test", "--tls-cert", "cert.pem", "--tls-key", "key.pem"},
		{"--agent-ca", "ca.pem"},
	} {
		dir := storetest.Dir(t)
		cmd := exec.CommandContext(t.Context(), program("snapwatch"),
			append([]string{"up", "--data-dir", dir, "--listen", "127.0.0.1:0"}, args...)...)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "--tls-cert") {
			t.Errorf("%v: %v %s", args, err, out)
		}
	}
}
