package auth

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/snapwatch/snapwatch/internal/clientaddr"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// Authenticate returns the principal of a session's or a token's secret. It returns ErrInvalidCredential for
// an invalid secret, and *RateLimitError for an address that sent too many invalid ones.
func (s *Service) Authenticate(ctx context.Context, secret string) (*Principal, error) {
	now, c := s.cfg.Now(), credential{secretKind(secret), HashSecret(secret)}
	if found := s.cache.get(c.hash, now); found != nil {
		return found, nil
	}
	address := clientaddr.Key(ClientOf(ctx).Address)
	if wait := s.badCredentials.Wait(address, now); wait > 0 {
		return nil, &RateLimitError{wait}
	}
	if s.metrics != nil && bytes.Equal(s.metrics.credential.hash, c.hash) {
		return s.authenticateMetrics(ctx, c, now)
	}
	found, err := s.lookUpAndCache(ctx, c, now)
	if errors.Is(err, ErrInvalidCredential) {
		s.badCredentials.Take(address, now)
	}
	return found, err
}

// metricsTimeout is how long the look-up of the Prometheus token may take. Prometheus waits ten seconds for a response.
const metricsTimeout = 2 * time.Second

// authenticateMetrics returns the principal of the Prometheus token of the settings. It is also valid while the
// database does not answer, because the metrics are needed most then.
func (s *Service) authenticateMetrics(ctx context.Context, c credential, now time.Time) (*Principal, error) {
	limited, cancel := context.WithTimeout(ctx, metricsTimeout)
	defer cancel()
	found, err := s.lookUpAndCache(limited, c, now)
	if err != nil && !errors.Is(err, ErrInvalidCredential) {
		return s.metrics, nil
	}
	return found, err
}

// Revalidate returns the current principal of p's credential: its permissions may have changed since p was
// authenticated. It returns ErrInvalidCredential if the credential is no longer valid.
func (s *Service) Revalidate(ctx context.Context, p *Principal) (*Principal, error) {
	now := s.cfg.Now()
	if found := s.cache.get(p.credential.hash, now); found != nil {
		return found, nil
	}
	return s.lookUpAndCache(ctx, p.credential, now)
}

// SetListening purges the cache, and turns it on or off: listening says whether AccessChanged is called after each
// change. While it is not, nothing is cached. A new Service does not cache.
func (s *Service) SetListening(listening bool) { s.cache.setEnabled(listening) }

// AccessChanged removes what has changed in the database from the cache. Call it with each notification.
func (s *Service) AccessChanged(change accounts.Change) {
	if change.All {
		s.cache.purge()
		return
	}
	for _, id := range change.Tokens {
		s.cache.remove(credentialID{token: id})
	}
	for _, id := range change.Sessions {
		s.cache.remove(credentialID{session: id})
	}
}

func (s *Service) lookUpAndCache(ctx context.Context, c credential, now time.Time) (*Principal, error) {
	mark := s.cache.begin()
	principal, err := s.lookUp(ctx, c, now)
	if err != nil {
		return nil, err
	}
	s.cache.add(mark, principal, now)
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
		if found.Replaces != nil { // its first use has deleted the token that it replaces
			s.cache.remove(credentialID{token: *found.Replaces})
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
