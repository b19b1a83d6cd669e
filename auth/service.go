package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/snapwatch/snapwatch/internal/clientaddr"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// Config is what a Service needs to know. Zero values mean the defaults.
type Config struct {
	// SessionLifetime is how long a session lasts at the most; 30 days by default.
	SessionLifetime time.Duration
	// SessionIdle is how long one lasts without being used; 7 days by default.
	SessionIdle time.Duration
	// AuditDays is how long the audit log is kept; 400 by default.
	AuditDays int
	// Params of argon2id; DefaultParams by default.
	PasswordParams *argon2id.Params
	// Now is the clock; nil means time.Now.
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
	if c.PasswordParams == nil {
		c.PasswordParams = DefaultPasswordParams()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

const (
	// cacheFor is how long it is taken for granted whom a secret belongs to; changes
	// end it at once, on every server (see Changed).
	cacheLifetime = time.Minute
	// cacheSecrets bounds the secrets that are remembered, at about 500 bytes each.
	cacheSize = 20_000
	// deviceFor is how long a browser is remembered after its last log-in.
	deviceLifetime = 180 * 24 * time.Hour
	// pruneEvery is how often what has expired is removed.
	pruneInterval = time.Hour
)

// Service knows who is who. It is safe for concurrent use.
type Service struct {
	cfg      Config
	accounts *accounts.Accounts
	logger   *slog.Logger
	hasher   *hasher

	perAddress        *Limiter // log-ins, by address
	perAccountAddress *Limiter // log-ins, by account and address, or by known browser
	perAccount        *Limiter // log-ins, by account, from browsers that it does not know
	badCredentials    *Limiter // credentials that are none, by address

	mu         sync.Mutex
	cache      *simplelru.LRU[string, cachedPrincipal]
	generation uint64
	listening  bool
}

// remembered is who a secret belonged to at an instant.
type cachedPrincipal struct {
	principal *Principal
	at        time.Time
}

// New returns a Service on the accounts of a database.
func New(cfg Config, tables *accounts.Accounts, logger *slog.Logger) (*Service, error) {
	cfg.setDefaults()
	known, err := simplelru.NewLRU[string, cachedPrincipal](cacheSize, nil)
	if err != nil {
		return nil, fmt.Errorf("make a cache: %w", err)
	}
	return &Service{cfg: cfg, accounts: tables, logger: logger, hasher: newHasher(cfg.PasswordParams), cache: known,
		perAddress: NewLimiter(
			1.0/3, 20,
		), perAccountAddress: NewLimiter(1.0/30, 10), perAccount: NewLimiter(1.0/10, 50), badCredentials: NewLimiter(20, 200)}, nil
}

// Run removes what has expired, every hour until ctx ends.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(pruneInterval)
	defer ticker.Stop()
	for {
		if err := s.Prune(ctx); err != nil && ctx.Err() == nil {
			s.logger.Error("upkeep of the accounts failed", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Prune removes what has expired.
func (s *Service) Prune(ctx context.Context) error {
	now := s.cfg.Now()
	return s.accounts.Prune(
		ctx,
		accounts.Expiry{
			Now:         now,
			SessionIdle: now.Add(-s.cfg.SessionIdle),
			Device:      now.Add(-deviceLifetime),
			Audit:       now.AddDate(0, 0, -s.cfg.AuditDays),
		},
	)
}

// Authenticate tells whom a secret belongs to: a session's or a token's. It returns
// ErrCredential, or *TooManyError for an address that tries one after the other.
func (s *Service) Authenticate(ctx context.Context, secret string) (*Principal, error) {
	now, c := s.cfg.Now(), credential{secretKind(secret), HashSecret(secret)}
	if found := s.cached(c, now); found != nil {
		return found, nil
	}
	address := clientaddr.Key(ClientOf(ctx).Address)
	if wait := s.badCredentials.Wait(address, now); wait > 0 {
		return nil, &RateLimitError{wait}
	}
	found, err := s.lookUpAndCache(ctx, c, now)
	if errors.Is(err, ErrInvalidCredential) {
		s.badCredentials.Take(address, now)
	}
	return found, err
}

// recall returns who a secret belonged to a moment ago, nil if that is not remembered.
func (s *Service) cached(c credential, now time.Time) *Principal {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, hit := s.cache.Get(string(c.hash))
	if !hit || now.Sub(found.at) >= cacheLifetime || !found.principal.validAt(now) {
		return nil
	}
	return found.principal
}

// find asks the database, and remembers the answer.
func (s *Service) lookUpAndCache(ctx context.Context, c credential, now time.Time) (*Principal, error) {
	s.mu.Lock()
	generation := s.generation
	s.mu.Unlock()
	principal, err := s.lookUp(ctx, c, now)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listening && s.generation == generation { // else it may be of yesterday already
		s.cache.Add(string(c.hash), cachedPrincipal{principal, now})
	}
	return principal, nil
}

func (s *Service) lookUp(ctx context.Context, c credential, now time.Time) (*Principal, error) {
	switch c.kind {
	case KindSession:
		found, err := s.accounts.SessionByHash(ctx, c.hash, now, now.Add(-s.cfg.SessionIdle))
		if errors.Is(err, accounts.ErrNotFound) {
			return nil, ErrInvalidCredential
		}
		if err != nil {
			return nil, err
		}
		return &Principal{
			credential: c,
			Role:       Role(found.User.Role),
			Name:       found.User.Name,
			UserID:     found.User.ID,
			SessionID:  found.ID,
			Tags:       found.User.Tags,
			ExpiresAt:  found.ExpireAt,
		}, nil
	case KindToken, KindAgent, kindConfigured:
		found, err := s.accounts.TokenByHash(ctx, c.hash, now)
		if errors.Is(err, accounts.ErrNotFound) {
			return nil, ErrInvalidCredential
		}
		if err != nil {
			return nil, err
		}
		return principalOf(c, found), nil
	default:
		return nil, ErrInvalidCredential
	}
}

func principalOf(c credential, t *accounts.Token) *Principal {
	p := &Principal{credential: c, Role: Role(t.Role), Name: "token " + t.Name, TokenID: t.ID, Tags: t.Tags}
	if t.MachineID != nil {
		p.MachineID, p.Name = *t.MachineID, "agent of "+*t.MachineID
	}
	if t.Scopes != nil {
		p.Permissions = make([]Permission, len(t.Scopes))
		for i, scope := range t.Scopes {
			p.Permissions[i] = Permission(scope)
		}
	}
	if t.ExpiresAt != nil {
		p.ExpiresAt = *t.ExpiresAt
	}
	return p
}

// Renew tells who somebody is now: what they may do may have changed since they came.
// It returns ErrCredential if the credential has ended.
func (s *Service) Revalidate(ctx context.Context, p *Principal) (*Principal, error) {
	now := s.cfg.Now()
	if found := s.cached(p.credential, now); found != nil {
		return found, nil
	}
	return s.lookUpAndCache(ctx, p.credential, now)
}

// Changed forgets whom secrets belong to: something about that has changed. While
// hearing is false nobody tells of such changes, and nothing is remembered.
func (s *Service) InvalidateCache(hearing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.listening = hearing
	s.cache.Purge()
}

// forget is Changed for a change of our own, which need not wait to be heard.
func (s *Service) purgeCache() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.cache.Purge()
}

// record writes to the audit log. What was done stays done if that fails; the
// server's log then has it.
func (s *Service) record(ctx context.Context, actor, action, target string, detail map[string]any) {
	client := ClientOf(ctx)
	if actor == "" {
		actor = "unknown"
		if p := PrincipalOf(ctx); p != nil {
			actor = p.Name
		} else if client == (Client{}) {
			actor = "shell"
		}
	}
	entry := &accounts.Entry{
		At:        s.cfg.Now(),
		Actor:     actor,
		Action:    action,
		Target:    target,
		Detail:    detail,
		Address:   client.Address,
		RequestID: client.RequestID,
	}
	if err := s.accounts.Record(context.WithoutCancel(ctx), entry); err != nil {
		s.logger.Error(
			"the audit log could not be written", "actor", actor, "action", action, "target", target,
			"detail", detail, "request_id", client.RequestID, "err", err,
		)
	}
}

// Record writes to the audit log what the caller of a request did.
func (s *Service) Record(ctx context.Context, action, target string, detail map[string]any) {
	s.record(ctx, "", action, target, detail)
}

// Audit reads the audit log.
func (s *Service) Audit(ctx context.Context, q accounts.AuditQuery) ([]accounts.Entry, error) {
	return s.accounts.Audit(ctx, q)
}
