package tlscert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACMEConfig says for which names to get certificates, and from whom.
type ACMEConfig struct {
	// Domains are the names; no others are asked for.
	Domains []string
	// Email is told to the authority, for warnings; may be empty.
	Email string
	// Directory is the authority's address; empty means Let's Encrypt.
	Directory string
	// CAFile has the certificate of an authority of one's own, PEM; empty for none.
	CAFile string
	// CacheDir keeps keys and certificates.
	CacheDir string
}

// ACME gets certificates by itself (RFC 8555), and renews them. An authority looks at
// port 443 (tls-alpn-01) or, if HTTP is served, at port 80 (http-01).
type ACME struct{ manager *autocert.Manager }

// NewACME prepares it; the first handshake gets the first certificate.
func NewACME(cfg ACMEConfig) (*ACME, error) {
	if len(cfg.Domains) == 0 {
		return nil, errors.New("ACME needs a domain")
	}
	if err := os.MkdirAll(cfg.CacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory for certificates: %w", err)
	}
	client := &acme.Client{DirectoryURL: cfg.Directory, UserAgent: "snapwatch"}
	if cfg.CAFile != "" {
		roots, err := LoadCertPool(cfg.CAFile)
		if err != nil {
			return nil, err
		}
		client.HTTPClient = &http.Client{
			Timeout: time.Minute,
			Transport: &http.Transport{
				Proxy:           http.ProxyFromEnvironment,
				TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			},
		}
	}
	return &ACME{
		&autocert.Manager{
			Prompt:     autocert.AcceptTOS,
			Cache:      autocert.DirCache(cfg.CacheDir),
			HostPolicy: autocert.HostWhitelist(cfg.Domains...),
			Email:      cfg.Email,
			Client:     client,
		},
	}, nil
}

// Config returns a server's configuration that always has the newest certificate.
func (a *ACME) Config() *tls.Config {
	config := a.manager.TLSConfig()
	config.MinVersion = tls.VersionTLS12
	return config
}

// ServeHTTP answers the authority at an address, and sends everybody else to HTTPS,
// until ctx ends.
func (a *ACME) ServeHTTP(ctx context.Context, address string) error {
	server := &http.Server{
		Addr:              address,
		Handler:           a.manager.HTTPHandler(nil),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP for ACME: %w", err)
	}
	return nil
}

// LoadCertPool reads certificates of authorities from a PEM file.
func LoadCertPool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the authorities' certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("there is no certificate in %s", file)
	}
	return pool, nil
}
