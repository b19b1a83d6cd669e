package main

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/tlscert"
)

// tlsSetup is the server's TLS configuration.
type tlsSetup struct {
	config *tls.Config   // nil for plain HTTP
	acme   *tlscert.ACME // nil for certificates from files
}

// newTLS checks the TLS settings and loads the certificates. Certificates from an ACME authority are
// stored in dir.
func newTLS(cfg config.TLS, dir string, logger *slog.Logger) (tlsSetup, error) {
	var setup tlsSetup
	files := cfg.TLSCert != "" || cfg.TLSKey != ""
	switch {
	case files && (cfg.TLSCert == "" || cfg.TLSKey == ""):
		return setup, errors.New("set both --tls-cert and --tls-key")
	case files && len(cfg.ACMEDomains) > 0:
		return setup, errors.New("set either --tls-cert or --acme-domains, not both")
	case files:
		loaded, err := tlscert.Load(cfg.TLSCert, cfg.TLSKey, logger)
		if err != nil {
			return setup, err
		}
		setup.config = loaded.Config()
	case len(cfg.ACMEDomains) > 0:
		manager, err := tlscert.NewACME(tlscert.ACMEConfig{
			Domains:   cfg.ACMEDomains,
			Email:     cfg.ACMEEmail,
			Directory: cfg.ACMEDirectory,
			CAFile:    cfg.ACMECA,
			CacheDir:  filepath.Join(dir, "acme"),
		})
		if err != nil {
			return setup, err
		}
		setup.acme, setup.config = manager, manager.Config()
	}
	if cfg.AgentCA == "" {
		return setup, nil
	}
	if setup.config == nil {
		return setup, errors.New("--agent-ca needs TLS: set --tls-cert and --tls-key, or --acme-domains")
	}
	pool, err := tlscert.LoadCertPool(cfg.AgentCA)
	if err != nil {
		return setup, err
	}
	setup.config.ClientCAs, setup.config.ClientAuth = pool, tls.VerifyClientCertIfGiven
	return setup, nil
}
