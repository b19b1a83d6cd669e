package tlscert

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/tlscert/tlscerttest"
)

func TestChangedFilesAreLoaded(t *testing.T) {
	t.Parallel()
	ca := tlscerttest.NewCA(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca.Issue(t, cert, key, "one.test")
	var log bytes.Buffer
	f, err := Load(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	f.now = func() time.Time { return now }
	name := func() string {
		t.Helper()
		served, err := f.Config().GetCertificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return served.Leaf.DNSNames[0]
	}
	if got := name(); got != "one.test" {
		t.Fatal(got)
	}
	ca.Issue(t, cert, key, "two-is-longer.test")
	if got := name(); got != "one.test" {
		t.Errorf("checked the files again at once: %s", got)
	}
	now = now.Add(checkInterval)
	if got := name(); got != "two-is-longer.test" {
		t.Errorf("after the files changed: %s", got)
	}
	// First only the key is replaced, then the certificate is missing.
	ca.Issue(t, filepath.Join(dir, "other.pem"), key, "other.test")
	now = now.Add(checkInterval)
	if got := name(); got != "two-is-longer.test" {
		t.Errorf("with the key of another certificate: %s", got)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	now = now.Add(checkInterval)
	if got := name(); got != "two-is-longer.test" || strings.Count(log.String(), "keeping the previous one") != 2 {
		t.Errorf("without a certificate: %s\n%s", got, log.String())
	}
	ca.Issue(t, cert, key, "three.test")
	now = now.Add(checkInterval)
	if got := name(); got != "three.test" {
		t.Errorf("with a new certificate and key: %s", got)
	}
}

func TestKeysThatOthersCanReadAreReported(t *testing.T) {
	t.Parallel()
	ca, dir := tlscerttest.NewCA(t), t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca.Issue(t, cert, key, "one.test")
	for mode, want := range map[os.FileMode]string{0o600: "", 0o644: "mode=0644", 0o660: "mode=0660"} {
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		if _, err := Load(cert, key, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		got := log.String()
		reported := strings.Contains(got, key) && strings.Contains(got, "level=WARN") && strings.Contains(got, want)
		if want == "" && got != "" || want != "" && !reported {
			t.Errorf("mode %o: logged %q, want %q and the path", mode, got, want)
		}
	}
}

// A key is often in the file of its certificate too.
func TestKeyBesideTheCertificateIsReported(t *testing.T) {
	t.Parallel()
	ca, dir := tlscerttest.NewCA(t), t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca.Issue(t, cert, key, "one.test")
	both := filepath.Join(dir, "both.pem")
	var text []byte
	for _, path := range []string{cert, key} {
		part, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, part...)
	}
	if err := os.WriteFile(both, text, 0o644); err != nil {
		t.Fatal(err)
	}
	for certificate, want := range map[string]bool{cert: false, both: true} {
		var log bytes.Buffer
		if _, err := Load(certificate, key, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "file="+certificate); got != want {
			t.Errorf("%s: logged %q", certificate, log.String())
		}
	}
}

func TestLoadRequiresACertificateWithItsKey(t *testing.T) {
	t.Parallel()
	ca := tlscerttest.NewCA(t)
	dir := t.TempDir()
	a, b, other := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	ca.Issue(t, a, b, "a.test")
	ca.Issue(t, filepath.Join(dir, "d"), other, "b.test")
	none := filepath.Join(dir, "none")
	for _, pair := range [][2]string{{a, other}, {a, none}, {none, b}, {b, a}} {
		if _, err := Load(pair[0], pair[1], slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%v were loaded", pair)
		}
	}
}
