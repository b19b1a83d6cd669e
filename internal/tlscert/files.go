// Package tlscert serves a TLS certificate from files, and takes a new one when
// they are replaced: by certbot, cert-manager or an administrator, without a restart.
package tlscert

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often the files are looked at, at the most.
const lookEvery = time.Second

// Files is a certificate with its key, in two PEM files. It is safe for concurrent use.
type Files struct {
	certificate, key string
	logger           *slog.Logger
	now              func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]fileStamp
	looked  time.Time
}

// fileStamp tells one content of a file from the next.
type fileStamp struct {
	modified time.Time
	size     int64
}

// Load reads the files; it fails if they are not a certificate and its key.
func Load(certificate, key string, logger *slog.Logger) (*Files, error) {
	f := &Files{certificate: certificate, key: key, logger: logger, now: time.Now}
	stamp, err := f.stampNow()
	if err != nil {
		return nil, err
	}
	if err := f.load(stamp); err != nil {
		return nil, err
	}
	return f, nil
}

// Config returns a server's configuration that always has the newest certificate.
func (f *Files) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.get, NextProtos: []string{"h2", "http/1.1"}}
}

// get returns the certificate for a handshake. If the files have changed and are
// not good, which they are not while they are being replaced, the one before stays.
func (f *Files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.looked) >= lookEvery {
		f.looked = now
		stamp, err := f.stampNow()
		if err == nil && stamp != f.stamp {
			if err = f.load(stamp); err == nil {
				f.logger.Info("took a new TLS certificate", "file", f.certificate, "expires", f.current.Leaf.NotAfter)
			}
		}
		if err != nil {
			f.logger.Warn(
				"the TLS certificate could not be read again, the one before stays", "file", f.certificate,
				"err", err,
			)
		}
	}
	return f.current, nil
}

func (f *Files) load(stamp [2]fileStamp) error {
	certificate, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return fmt.Errorf("read the TLS certificate: %w", err)
	}
	f.current, f.stamp = &certificate, stamp
	return nil
}

func (f *Files) stampNow() (stamp [2]fileStamp, err error) {
	for i, name := range []string{f.certificate, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, fmt.Errorf("read the TLS certificate: %w", err)
		}
		stamp[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return stamp, nil
}
