package auth

import (
	"context"
	"errors"
	"time"

	"github.com/snapwatch/snapwatch/internal/clientaddr"
	"github.com/snapwatch/snapwatch/store/accounts"
)

const (
	// cacheLifetime is how long an authenticated principal is cached. Changes invalidate the cache at once, on
	// every server (see InvalidateCache).
	cacheLifetime = time.Minute
	// cacheSize is the maximum number of cached principals. One takes about 500 bytes.
	cacheSize = 20_000
)

// cachedPrincipal is the principal of a secret, as read from the database at a time.
type cachedPrincipal struct {
	principal *Principal
	readAt    time.Time
}

// Authenticate returns the principal of a session's or a token's secret. It returns ErrInvalidCredential for
// an invalid secret, and *RateLimitError for an address that sent too many invalid ones.
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

// Revalidate returns the current principal of p's credential: its permissions may have changed since p was
// authenticated. It returns ErrInvalidCredential if the credential is no longer valid.
func (s *Service) Revalidate(ctx context.Context, p *Principal) (*Principal, error) {
	now := s.cfg.Now()
	if found := s.cached(p.credential, now); found != nil {
		return found, nil
	}
	return s.lookUpAndCache(ctx, p.credential, now)
}

// InvalidateCache purges the cache after accounts changed in the database. listening says whether the caller
// still receives notifications of such changes. While it does not, nothing is cached.
func (s *Service) InvalidateCache(listening bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.listening = listening
	s.cache.Purge()
}

// purgeCache purges the cache after a change made by this server, without waiting for its notification.
func (s *Service) purgeCache() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.cache.Purge()
}

// cached returns the principal of a credential from the cache, or nil.
func (s *Service) cached(c credential, now time.Time) *Principal {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, hit := s.cache.Get(string(c.hash))
	if !hit || now.Sub(found.readAt) >= cacheLifetime || !found.principal.validAt(now) {
		return nil
	}
	return found.principal
}

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
	if s.listening && s.generation == generation { // otherwise the principal may be outdated already
		s.cache.Add(string(c.hash), cachedPrincipal{principal, now})
	}
	return principal, nil
}

// lookUp reads the principal of a credential from the database.
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

// principalOf returns the principal of a token.
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
