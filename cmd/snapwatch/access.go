package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/config"
)

// parseProxies parses the networks or single addresses of trusted proxies.
func parseProxies(list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range list {
		text = strings.TrimSpace(text)
		prefix, err := netip.ParsePrefix(text)
		if address, addressErr := netip.ParseAddr(text); addressErr == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxies: %q is neither an IP address nor a network", text)
		}
		all = append(all, prefix.Masked())
	}
	return all, nil
}

// newOIDC returns single sign-on with the provider of the settings; nil if there is none.
func newOIDC(cfg config.OIDC, service *auth.Service) (*auth.OIDC, error) {
	if cfg.OIDCIssuer == "" {
		return nil, nil
	}
	if cfg.OIDCClientID == "" || cfg.OIDCRedirectURL == "" {
		return nil, errors.New("--oidc-issuer needs --oidc-client-id and --oidc-redirect-url")
	}
	if len(cfg.OIDCAdminValues) == 0 && len(cfg.OIDCUserValues) == 0 {
		return nil, errors.New(
			"--oidc-issuer needs --oidc-admin-values or --oidc-user-values: without them nobody can sign in through it",
		)
	}
	return auth.NewOIDC(auth.OIDCConfig{
		Issuer:       cfg.OIDCIssuer,
		ClientID:     cfg.OIDCClientID,
		ClientSecret: cfg.OIDCClientSecret,
		RedirectURL:  cfg.OIDCRedirectURL,
		Scopes:       cfg.OIDCScopes,
		RoleClaim:    cfg.OIDCRoleClaim,
		AdminValues:  cfg.OIDCAdminValues,
		UserValues:   cfg.OIDCUserValues,
		TagsClaim:    cfg.OIDCTagsClaim,
	}, service), nil
}

// checkRedirectURL checks that the identity provider sends browsers to a path below the base path, because the server
// does not respond outside it. An empty URL is one that is not set.
func checkRedirectURL(redirect, base string) error {
	if redirect == "" || base == "" {
		return nil
	}
	address, err := url.Parse(redirect)
	if path := base + api.OIDCCallbackPath; err != nil || !strings.HasSuffix(address.Path, path) {
		return fmt.Errorf("--oidc-redirect-url: the path of %q must end in %s, because of --base-path", redirect, path)
	}
	return nil
}

// openAuth opens the accounts and applies the secrets of the settings. It waits for a database that cannot do that yet.
func (s *server) openAuth(ctx context.Context, cfg config.Access) (err error) {
	s.auth, err = auth.New(auth.Config{
		SessionLifetime: cfg.SessionLifetime,
		SessionIdle:     cfg.SessionIdle,
		CacheSize:       s.caches.tokens,
		Registry:        s.registry,
	}, s.store.Accounts(), s.logger)
	if err != nil {
		return err
	}
	return s.untilAvailable(ctx, func(ctx context.Context) error { return s.prepareAccounts(ctx, cfg) })
}

// prepareAccounts stores the secrets of the settings and, if there is no administrator, that of a setup link. It can be
// repeated.
func (s *server) prepareAccounts(ctx context.Context, cfg config.Access) (err error) {
	if cfg.MetricsToken != "" {
		if err := s.auth.SetMetricsToken(ctx, cfg.MetricsToken); err != nil {
			return err
		}
	}
	if cfg.EnrolmentKey != "" {
		if err := s.auth.SetEnrolmentKey(ctx, cfg.EnrolmentKey); err != nil {
			return err
		}
	}
	if s.setupSecret, err = s.auth.CreateSetupSecret(ctx); err != nil {
		return err
	}
	if is, err := s.store.IsSuperuser(ctx); err != nil {
		return err
	} else if is {
		s.logger.Warn("the database role is a superuser; snapwatch only needs to own its database (docs/install.md)")
	}
	return nil
}

// grantReader lets a database role read the history. A failure does not stop the server.
func (s *server) grantReader(ctx context.Context, role string) {
	visible, err := s.store.GrantReader(ctx, role)
	switch {
	case err != nil:
		s.logger.Warn("could not grant the reader role its rights", "role", role, "err", err)
	case !visible:
		s.logger.Warn(
			"the reader role does not find the views; run as a superuser: ALTER ROLE "+role+
				" SET search_path = history, public",
			"role", role,
		)
	}
}

// allowedHosts returns the host names that browsers may use: those of the settings or, on loopback, the
// names of loopback and those of the certificates. nil allows any name.
func allowedHosts(cfg config.Server, domains []string, address net.Addr) []string {
	if len(cfg.AllowedHosts) > 0 {
		names := make([]string, len(cfg.AllowedHosts))
		for i, host := range cfg.AllowedHosts {
			if name, _, err := net.SplitHostPort(host); err == nil {
				host = name // any port of an allowed name is allowed
			}
			names[i] = strings.ToLower(strings.Trim(host, "[] "))
		}
		return names
	}
	if tcp, ok := address.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return append([]string{"localhost", "127.0.0.1", "::1", tcp.IP.String()}, domains...)
	}
	return nil
}

// announce prints the server's address and, if there is no administrator, a link to create the first
// account. It prints to standard output because the link is a secret, which must not be in a log.
func (s *server) announce() {
	fmt.Println("snapwatch is up:", s.url())
	if s.setupSecret != "" {
		fmt.Printf(
			"\nNo administrator exists yet. Create your admin account here (the link works once):\n\n"+
				"    %s/setup#%s\n\n",
			s.url(), s.setupSecret,
		)
	}
}
