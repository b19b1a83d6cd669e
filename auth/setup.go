package auth

import (
	"context"
	"errors"

	"github.com/snapwatch/snapwatch/internal/clientaddr"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// HasAdmin reports whether there is an administrator who can sign in.
func (s *Service) HasAdmin(ctx context.Context) (bool, error) {
	n, err := s.accounts.CountAdmins(ctx)
	return n > 0, err
}

// CreateSetupSecret creates a one-time secret for a setup link. It returns "" if there is an administrator already.
func (s *Service) CreateSetupSecret(ctx context.Context) (secret string, err error) {
	if n, err := s.accounts.CountAdmins(ctx); err != nil || n > 0 {
		return "", err
	}
	secret, hash := NewSecret(KindSetup)
	return secret, s.accounts.AddSetup(ctx, hash, s.cfg.Now())
}

// Setup creates the first administrator with the secret of a setup link, and starts a session for them. It returns
// ErrInvalidSetupLink, *FieldError or *RateLimitError.
func (s *Service) Setup(ctx context.Context, secret string, params UserParams) (*LoginResult, error) {
	now := s.cfg.Now()
	if err := rateLimitError(s.perAddress.Take(clientaddr.Key(ClientOf(ctx).Address), now)); err != nil {
		return nil, err
	}
	if secretKind(secret) != KindSetup {
		return nil, ErrInvalidSetupLink
	}
	params.Role = RoleAdmin
	user, err := s.buildUser(ctx, params)
	if err != nil {
		return nil, err
	}
	err = s.accounts.UseSetup(ctx, HashSecret(secret), user)
	if errors.Is(err, accounts.ErrNotFound) {
		return nil, ErrInvalidSetupLink
	}
	if err != nil {
		return nil, err
	}
	s.record(ctx, user.Name, "user.added", "user "+user.Name, map[string]any{"role": user.Role, "by": "setup link"})
	return s.startSession(ctx, user, "", "setup link")
}
