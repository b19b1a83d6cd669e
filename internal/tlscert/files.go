// Package tlscert provides the server's TLS certificates, from files or with ACME. Renewed certificates are used
// without a restart.
package tlscert

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/snapwatch/snapwatch/internal/strictpath"
)

// checkInterval is the minimum time between two checks of the files.
const checkInterval = time.Second

// Files is a certificate and its key in two PEM files. It reads them again when they change, for example after
// certbot has renewed the certificate. It is safe for concurrent use.
type Files struct {
	certificate, key string
	logger           *slog.Logger
	now              func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	version [2]fileVersion // of the current certificate and key
	checked time.Time
}

// fileVersion identifies the contents of a file.
type fileVersion struct {
	modified time.Time
	size     int64
}

// Load reads the files. It returns an error if they are not a certificate and its key.
func Load(certificate, key string, logger *slog.Logger) (*Files, error) {
	f := &Files{certificate: certificate, key: key, logger: logger, now: time.Now}
	version, err := f.currentVersion()
	if err != nil {
		return nil, err
	}
	if err := f.load(version); err != nil {
		return nil, err
	}
	return f, nil
}

// Config returns a TLS configuration for a server, which always uses the newest certificate.
func (f *Files) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.get, NextProtos: []string{"h2", "http/1.1"}}
}

// get returns the certificate for a handshake. If the changed files are invalid, for example because only one of
// them is replaced yet, it returns the previous certificate.
func (f *Files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.checked) >= checkInterval {
		f.checked = now
		version, err := f.currentVersion()
		if err == nil && version != f.version {
			if err = f.load(version); err == nil {
				f.logger.Info("loaded a new TLS certificate", "file", f.certificate, "expires", f.current.Leaf.NotAfter)
			}
		}
		if err != nil {
			f.logger.Warn(
				"could not load the new TLS certificate, keeping the previous one",
				"file", f.certificate, "err", err,
			)
		}
	}
	return f.current, nil
}

func (f *Files) load(version [2]fileVersion) error {
	certificate, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return fmt.Errorf("read the TLS certificate: %w", err)
	}
	for _, path := range KeyFiles(f.certificate, f.key) {
		if who, mode := strictpath.KeyReaders(path); who != "" {
			f.logger.Warn("others have access to the private key of the TLS certificate: run chmod 600 on its file",
				"file", path, "mode", mode, "accessible_to", who)
		}
	}
	f.current, f.version = &certificate, version
	return nil
}

// KeyFiles returns those of the two files that have a private key. That of the certificate may have it too.
func KeyFiles(certificate, key string) []string {
	text, err := os.ReadFile(filepath.Clean(certificate))
	if err == nil && certificate != key && bytes.Contains(text, []byte("PRIVATE KEY-----")) {
		return []string{key, certificate}
	}
	return []string{key}
}

func (f *Files) currentVersion() (version [2]fileVersion, err error) {
	for i, name := range []string{f.certificate, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return version, fmt.Errorf("read the TLS certificate: %w", err)
		}
		version[i] = fileVersion{info.ModTime(), info.Size()}
	}
	return version, nil
}
