package auth

import (
	"context"

	"github.com/snapwatch/snapwatch/store/accounts"
)

// CurrentUser returns the user of the caller's session. It returns accounts.ErrNotFound if the caller uses a token.
func (s *Service) CurrentUser(ctx context.Context, p *Principal) (*accounts.User, error) {
	if p.UserID == 0 {
		return nil, accounts.ErrNotFound
	}
	return s.accounts.UserByID(ctx, p.UserID)
}

// Preferences returns the display preferences of the user of the caller's session. It returns accounts.ErrNotFound
// if the caller uses a token.
func (s *Service) Preferences(ctx context.Context, p *Principal) (accounts.Preferences, error) {
	if p.UserID == 0 {
		return accounts.Preferences{}, accounts.ErrNotFound
	}
	return s.accounts.Preferences(ctx, p.UserID)
}

// SetPreferences stores the display preferences of the user of the caller's session. It returns
// accounts.ErrNotFound if the caller uses a token.
func (s *Service) SetPreferences(ctx context.Context, p *Principal, preferences accounts.Preferences) error {
	if p.UserID == 0 {
		return accounts.ErrNotFound
	}
	return s.accounts.SetPreferences(ctx, p.UserID, preferences)
}

// ChangePassword changes the password of the caller and ends the caller's other sessions.
func (s *Service) ChangePassword(ctx context.Context, p *Principal, current, replacement string) error {
	user, err := s.verifyPassword(ctx, p, current)
	if err != nil {
		return err
	}
	change := accounts.UserChange{KeepSession: p.SessionID}
	if err := s.setPassword(ctx, user, "new_password", replacement, &change); err != nil {
		return err
	}
	if err := s.accounts.ChangeUser(ctx, user.ID, change); err != nil {
		return err
	}
	s.cache.purge()
	s.Record(ctx, "password.changed", "user "+user.Name, nil)
	return nil
}

// verifyPassword returns the caller's account if password is its password, and *FieldError otherwise. Changing a
// password or one-time codes requires it, so that an unattended browser is not enough to take over the account.
func (s *Service) verifyPassword(ctx context.Context, p *Principal, password string) (*accounts.User, error) {
	user, err := s.CurrentUser(ctx, p)
	if err != nil {
		return nil, err
	}
	if user.PasswordHash == nil {
		return nil, ErrExternalAccount
	}
	if err := rateLimitError(s.perAccountAddress.Take("account "+user.Name+" itself", s.cfg.Now())); err != nil {
		return nil, err
	}
	match, _, err := s.hasher.check(ctx, password, user.PasswordHash)
	if err != nil {
		return nil, err
	}
	if !match {
		return nil, &FieldError{"password", "must be the current password of this account"}
	}
	return user, nil
}
