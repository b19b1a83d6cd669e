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

// Setup creates the first administrator with the secret of a setup link, and starts a session for them. If it fails,
// nothing is created and the link stays valid. It returns ErrInvalidSetupLink, *FieldError or *RateLimitError.
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
	setup := &accounts.Setup{User: *user}
	session, result := s.newSession(ctx, &setup.User, "")
	setup.Session = *session
	target := "user " + user.Name
	setup.Audit = []accounts.Entry{
		*s.auditEntry(ctx, user.Name, "user.added", target, map[string]any{"role": user.Role, "by": "setup link"}),
		*s.auditEntry(ctx, user.Name, "login", target, map[string]any{"by": "setup link"}),
	}
	err = s.accounts.UseSetup(ctx, HashSecret(secret), setup)
	if errors.Is(err, accounts.ErrNotFound) {
		return nil, ErrInvalidSetupLink
	}
	if err != nil {
		return nil, err
	}
	return result, nil
}
