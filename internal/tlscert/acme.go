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

// ACMEConfig configures ACME.
type ACMEConfig struct {
	// Domains lists the host names to obtain certificates for.
	Domains []string
	// Email is the contact address for the certificate authority. It may be empty.
	Email string
	// Directory is the URL of the ACME directory. Empty means Let's Encrypt.
	Directory string
	// CAFile is a PEM file with the root certificates to trust for the directory's HTTPS server. Empty means
	// the system's.
	CAFile string
	// CacheDir is the directory for keys and certificates. It is created if it does not exist.
	CacheDir string
}

// ACME obtains and renews certificates with the ACME protocol (RFC 8555). The certificate authority must be
// able to connect to port 443 (tls-alpn-01) or, if ServeHTTP runs, to port 80 (http-01).
type ACME struct{ manager *autocert.Manager }

// NewACME returns an ACME. It obtains the first certificate during the first TLS handshake.
func NewACME(cfg ACMEConfig) (*ACME, error) {
	if len(cfg.Domains) == 0 {
		return nil, errors.New("no domain for ACME")
	}
	if err := os.MkdirAll(cfg.CacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("create the directory for certificates: %w", err)
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

// Config returns a TLS configuration for a server.
func (a *ACME) Config() *tls.Config {
	config := a.manager.TLSConfig()
	config.MinVersion = tls.VersionTLS12
	return config
}

// ServeHTTP serves HTTP on an address until ctx is canceled. It responds to http-01 challenges and redirects
// all other requests to HTTPS.
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

// LoadCertPool reads a PEM file with certificates of certificate authorities.
func LoadCertPool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read CA certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return pool, nil
}
