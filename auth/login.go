package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/internal/clientaddr"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// Credentials are what a person gives to log in. Device is the secret of a browser
// that was logged in from before, or "".
type Credentials struct{ Name, Password, Code, DeviceSecret string }

// Started is a session that has begun. Secret and Device go to the browser.
type LoginResult struct {
	Secret       string
	DeviceSecret string
	ExpiresAt    time.Time
	User         *accounts.User
}

// Login begins a session for somebody who knows the password and, where the account
// has one-time codes, the code. It returns ErrLogin, ErrCodeNeeded or *TooManyError.
//
// Guessing is slowed down by address and by account. A browser that was logged in
// from before is counted apart, so that those who guess do not lock the owner out.
func (s *Service) Login(ctx context.Context, c Credentials) (*LoginResult, error) {
	now := s.cfg.Now()
	user, err := s.accounts.User(ctx, c.Name)
	if err != nil && !errors.Is(err, accounts.ErrNotFound) {
		return nil, err
	}
	if err := s.limitLogin(ctx, c, user, now); err != nil {
		return nil, err
	}
	var hash *string
	if user != nil {
		hash = user.PasswordHash
	}
	match, stale, err := s.hasher.check(ctx, c.Password, hash)
	if err != nil {
		return nil, err
	}
	if !match || user.Disabled {
		target := "user unknown" // what was typed there may be a password
		if user != nil {
			target = "user " + user.Name
		}
		s.record(ctx, "unknown", "login.failed", target, nil)
		return nil, ErrLoginFailed
	}
	if err := s.checkCode(ctx, user, c.Code); err != nil {
		if errors.Is(err, ErrLoginFailed) {
			s.record(ctx, "unknown", "login.failed", "user "+user.Name, map[string]any{"factor": "code"})
		}
		return nil, err
	}
	if stale { // the parameters have been raised since
		if fresh, err := s.hasher.hash(ctx, c.Password); err == nil {
			if err := s.accounts.ChangeUser(ctx, user.ID, accounts.UserChange{PasswordHash: &fresh}); err != nil {
				s.logger.Warn("a password could not be hashed anew", "user", user.Name, "err", err)
			}
		}
	}
	return s.startSession(ctx, user, c.DeviceSecret, "password")
}

// mayTry takes an attempt from whoever makes it.
func (s *Service) limitLogin(ctx context.Context, c Credentials, user *accounts.User, now time.Time) error {
	address, account := clientaddr.Key(ClientOf(ctx).Address), strings.ToLower(c.Name)
	if user != nil && secretKind(c.DeviceSecret) == KindDevice {
		known, err := s.accounts.KnowsDevice(ctx, HashSecret(c.DeviceSecret), user.ID, now.Add(-deviceLifetime))
		if err != nil {
			return err
		}
		if known {
			return rateLimitError(s.perAccountAddress.Take("device "+string(HashSecret(c.DeviceSecret)), now))
		}
	}
	if err := rateLimitError(s.perAddress.Take(address, now)); err != nil {
		return err
	}
	if err := rateLimitError(s.perAccountAddress.Take("account "+account+" from "+address, now)); err != nil {
		return err
	}
	return rateLimitError(s.perAccount.Take(account, now))
}

func rateLimitError(wait time.Duration) error {
	if wait > 0 {
		return &RateLimitError{wait}
	}
	return nil
}

// begin starts a session; the browser is remembered.
func (s *Service) startSession(ctx context.Context, user *accounts.User, device, how string) (*LoginResult, error) {
	now, client := s.cfg.Now(), ClientOf(ctx)
	secret, hash := NewSecret(KindSession)
	session := &accounts.Session{
		UserID:    user.ID,
		CreatedAt: now,
		ExpireAt:  now.Add(s.cfg.SessionLifetime),
		Address:   client.Address,
		UserAgent: truncate(client.UserAgent),
	}
	if err := s.accounts.CreateSession(ctx, hash, session); err != nil {
		return nil, err
	}
	if secretKind(device) != KindDevice {
		device, _ = NewSecret(KindDevice)
	}
	if err := s.accounts.AddDevice(ctx, HashSecret(device), user.ID, now); err != nil {
		return nil, err
	}
	s.record(ctx, user.Name, "login", "user "+user.Name, map[string]any{"by": how})
	return &LoginResult{Secret: secret, DeviceSecret: device, ExpiresAt: session.ExpireAt, User: user}, nil
}

// Logout ends the caller's session.
func (s *Service) Logout(ctx context.Context, p *Principal) error {
	if p.SessionID == 0 {
		return &FieldError{"session", "a token cannot be logged out; revoke it"}
	}
	err := s.accounts.EndSession(ctx, p.UserID, p.SessionID)
	if err != nil && !errors.Is(err, accounts.ErrNotFound) {
		return err
	}
	s.purgeCache()
	s.record(ctx, p.Name, "logout", "user "+p.Name, nil)
	return nil
}

// short bounds a text from outside that is kept.
func truncate(text string) string {
	const most = 200
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}
