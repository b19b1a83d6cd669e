package check_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"

	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/internal/testport"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/internal/tlscert/tlscerttest"
)

// The server gets its certificate from an ACME authority: pebble, which validates as Let's Encrypt does.
func TestACME(t *testing.T) {
	const name = "snapwatch.test"
	// By default pebble waits and rejects requests at random.
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	address := testport.FreeAddress(t)
	_, portText, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	resolver := testport.FreeAddress(t)
	names, err := challtestsrv.New(
		challtestsrv.Config{DNSAddrs: []string{resolver}, Log: log.New(testlog.Writer(), "", 0)},
	)
	if err != nil {
		t.Fatal(err)
	}
	names.SetDefaultDNSIPv4("127.0.0.1")
	names.SetDefaultDNSIPv6("")
	go names.Run()
	t.Cleanup(names.Shutdown)

	logger := log.New(testlog.Writer(), "pebble ", 0)
	database := db.NewMemoryStore()
	authority := ca.New(
		logger, database, "", "ecdsa", 0, 1,
		map[string]ca.Profile{"default": {Description: "the default", ValidityPeriod: 7776000}},
	)
	validation := va.New(logger, 1, port, false, resolver, database)
	front := wfe.New(logger, database, validation, authority, []string{"pebble.test"}, false, false, 1, 1)

	folder := t.TempDir()
	own := tlscerttest.NewCA(t)
	cert, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	root := filepath.Join(folder, "ca.pem")
	own.Issue(t, cert, key, "localhost")
	if err := os.WriteFile(root, own.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: front.Handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: logger}
	go func() { _ = server.ServeTLS(listener, cert, key) }()
	t.Cleanup(func() { _ = server.Close() })

	serve(
		t, address, "--acme-domains", name, "--acme-ca", root,
		"--acme-directory", "https://"+listener.Addr().String()+wfe.DirectoryPath,
	)
	roots := x509.NewCertPool()
	roots.AddCert(authority.GetRootCert(0).Cert)
	client := &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots},
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", address)
			},
		},
	}
	ctx, cancel := testwait.Context(t)
	defer cancel()
	url := fmt.Sprintf("https://%s:%d/readyz", name, port)
	waitReady(t, client, url)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if leaf := response.TLS.PeerCertificates[0]; response.StatusCode != http.StatusOK || leaf.DNSNames[0] != name ||
		response.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%s, for %v, %v", response.Status, leaf.DNSNames, response.Header)
	}
	// The server gets no certificates for other names.
	if conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: "elsewhere.test", RootCAs: roots}); err == nil {
		_ = conn.Close()
		t.Error("the server has a certificate for another name")
	}
}
