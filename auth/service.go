package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/cachemetrics"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// Config configures a Service. Zero values mean the defaults.
type Config struct {
	// SessionLifetime is the maximum lifetime of a session; 30 days by default.
	SessionLifetime time.Duration
	// SessionIdle is how long a session stays valid without being used; 7 days by default.
	SessionIdle time.Duration
	// AuditDays is how many days entries of the audit log are kept; 400 by default.
	AuditDays int
	// PasswordParams are the argon2id parameters of new password hashes; DefaultPasswordParams by default.
	PasswordParams *argon2id.Params
	// CacheSize is how many tokens and sessions are cached; 20,000 by default. One takes about 500 bytes.
	CacheSize int
	// Registry receives the metrics of the cache; nil for none.
	Registry prometheus.Registerer
	// Now is the clock; time.Now by default.
	Now func() time.Time
}

func (c *Config) setDefaults() {
	if c.SessionLifetime == 0 {
		c.SessionLifetime = 30 * 24 * time.Hour
	}
	if c.SessionIdle == 0 {
		c.SessionIdle = 7 * 24 * time.Hour
	}
	if c.AuditDays == 0 {
		c.AuditDays = 400
	}
	if c.CacheSize == 0 {
		c.CacheSize = defaultCacheSize
	}
	if c.PasswordParams == nil {
		c.PasswordParams = DefaultPasswordParams()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

const (
	// deviceLifetime is how long a browser is treated as known after its last sign-in.
	deviceLifetime = 180 * 24 * time.Hour
	// pruneInterval is how often Run removes expired rows.
	pruneInterval = time.Hour
	// badCredentialRate and badCredentialBurst limit the invalid credentials, and the invalid enrolment keys, of an
	// address: how many each second, and how many at once.
	badCredentialRate, badCredentialBurst = 20, 200
)

// Service manages users, sessions, tokens and enrolment keys, and authenticates their secrets.
// It is safe for concurrent use.
type Service struct {
	cfg      Config
	accounts *accounts.Accounts
	logger   *slog.Logger
	hasher   *hasher

	// Rate limits of sign-ins.
	perAddress        *Limiter // by client address
	perAccountAddress *Limiter // by account and client address, or by known browser
	perAccount        *Limiter // by account, for all unknown browsers together
	// badCredentials limits requests with invalid credentials, by client address.
	badCredentials *Limiter
	keys           *keyLimit

	cache      *principalCache
	enrolments *enrolmentQueue
	// metrics is the principal of the Prometheus token of the settings, nil for none. See authenticateMetrics.
	metrics *Principal
}

// New returns a Service that uses the account tables of a database.
func New(cfg Config, tables *accounts.Accounts, logger *slog.Logger) (*Service, error) {
	cfg.setDefaults()
	cache, err := newPrincipalCache(cfg.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("create the credential cache: %w", err)
	}
	s := &Service{
		cfg:               cfg,
		accounts:          tables,
		logger:            logger,
		hasher:            newHasher(cfg.PasswordParams),
		perAddress:        NewLimiter(1.0/3, 20),
		perAccountAddress: NewLimiter(1.0/30, 10),
		perAccount:        NewLimiter(1.0/10, 50),
		badCredentials:    NewLimiter(badCredentialRate, badCredentialBurst),
		keys:              newKeyLimit(),
		cache:             cache,
		enrolments:        newEnrolmentQueue(tables),
	}
	if cfg.Registry != nil {
		cache.metrics = cachemetrics.New(cfg.Registry, "tokens", cfg.CacheSize, cache.size)
	}
	return s, nil
}

// Run calls Prune every hour until ctx ends.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(pruneInterval)
	defer ticker.Stop()
	for {
		if err := s.Prune(ctx); err != nil && ctx.Err() == nil {
			s.logger.Error("could not remove expired sessions, tokens and audit entries", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Prune removes expired sessions, tokens, keys, devices and audit entries.
func (s *Service) Prune(ctx context.Context) error {
	now := s.cfg.Now()
	return s.accounts.Prune(ctx, accounts.Expiry{
		Now:         now,
		SessionIdle: now.Add(-s.cfg.SessionIdle),
		Device:      now.Add(-deviceLifetime),
		Audit:       now.AddDate(0, 0, -s.cfg.AuditDays),
	})
}
