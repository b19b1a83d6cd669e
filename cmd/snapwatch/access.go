package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/tlscert"
)

// transport is how the server proves who it is; config is nil for plain HTTP.
type transport struct {
	config *tls.Config
	acme   *tlscert.ACME
}

// newTransport reads the settings of TLS; dir is where an authority's certificates
// are kept.
func newTransport(cfg config.TLS, dir string, logger *slog.Logger) (transport, error) {
	var t transport
	files := cfg.TLSCert != "" || cfg.TLSKey != ""
	switch {
	case files && (cfg.TLSCert == "" || cfg.TLSKey == ""):
		return t, errors.New("--tls-cert and --tls-key belong together")
	case files && len(cfg.ACMEDomains) > 0:
		return t, errors.New("give --tls-cert or --acme-domains, not both")
	case files:
		loaded, err := tlscert.Load(cfg.TLSCert, cfg.TLSKey, logger)
		if err != nil {
			return t, err
		}
		t.config = loaded.Config()
	case len(cfg.ACMEDomains) > 0:
		manager, err := tlscert.NewACME(
			tlscert.ACMEConfig{
				Domains:   cfg.ACMEDomains,
				Email:     cfg.ACMEEmail,
				Directory: cfg.ACMEDirectory,
				CAFile:    cfg.ACMECA,
				CacheDir:  filepath.Join(dir, "acme"),
			},
		)
		if err != nil {
			return t, err
		}
		t.acme, t.config = manager, manager.Config()
	}
	if cfg.AgentCA == "" {
		return t, nil
	}
	if t.config == nil {
		return t, errors.New("--agent-ca needs TLS: --tls-cert and --tls-key, or --acme-domains")
	}
	pool, err := tlscert.LoadCertPool(cfg.AgentCA)
	if err != nil {
		return t, err
	}
	t.config.ClientCAs, t.config.ClientAuth = pool, tls.VerifyClientCertIfGiven
	return t, nil
}

// proxies reads networks, or single addresses, of trusted proxies.
func proxies(list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range list {
		text = strings.TrimSpace(text)
		prefix, err := netip.ParsePrefix(text)
		if address, addressErr := netip.ParseAddr(text); addressErr == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxies: %q is neither an address nor a network", text)
		}
		all = append(all, prefix.Masked())
	}
	return all, nil
}

// newOIDC reads the settings of an identity provider; nil for none.
func newOIDC(cfg config.OIDC, service *auth.Service) (*auth.OIDC, error) {
	if cfg.OIDCIssuer == "" {
		return nil, nil
	}
	if cfg.OIDCClientID == "" || cfg.OIDCRedirectURL == "" {
		return nil, errors.New("--oidc-issuer needs --oidc-client-id and --oidc-redirect-url")
	}
	if len(cfg.OIDCAdminValues) == 0 && len(cfg.OIDCUserValues) == 0 {
		return nil, errors.New(
			"--oidc-issuer needs --oidc-admin-values or --oidc-user-values: without them nobody could log in through it",
		)
	}
	return auth.NewOIDC(
		auth.OIDCConfig{
			Issuer:       cfg.OIDCIssuer,
			ClientID:     cfg.OIDCClientID,
			ClientSecret: cfg.OIDCClientSecret,
			RedirectURL:  cfg.OIDCRedirectURL,
			Scopes:       cfg.OIDCScopes,
			RoleClaim:    cfg.OIDCRoleClaim,
			AdminValues:  cfg.OIDCAdminValues,
			UserValues:   cfg.OIDCUserValues,
			TagsClaim:    cfg.OIDCTagsClaim,
		},
		service,
	), nil
}

// newAuth opens the accounts, and makes count what the settings give.
func (s *server) newAuth(ctx context.Context, cfg config.Access) error {
	service, err := auth.New(
		auth.Config{SessionLifetime: cfg.SessionLifetime, SessionIdle: cfg.SessionIdle}, s.store.Accounts(), s.logger,
	)
	if err != nil {
		return err
	}
	if cfg.MetricsToken != "" {
		if err := service.SetMetricsToken(ctx, cfg.MetricsToken); err != nil {
			return err
		}
	}
	if cfg.EnrolmentKey != "" {
		if err := service.SetEnrolmentKey(ctx, cfg.EnrolmentKey); err != nil {
			return err
		}
	}
	if is, err := s.store.IsSuperuser(ctx); err != nil {
		return err
	} else if is {
		s.logger.Warn("the database's role is a superuser; snapwatch needs no more than to own its database (docs/install.md)")
	}
	s.auth = service
	return nil
}

// announce tells where the server is and, if nobody can log in yet, where to make the
// first user. This is no log: what it tells is a secret.
func (s *server) announce(ctx context.Context) error {
	secret, err := s.auth.CreateSetupSecret(ctx)
	if err != nil {
		return err
	}
	fmt.Println("snapwatch is up:", s.url())
	if secret != "" {
		fmt.Printf(
			"Nobody can log in yet. Make the first user, an administrator, here (the link counts once):\n\n    %s/setup#%s\n\n",
			s.url(), secret,
		)
	}
	return nil
}
