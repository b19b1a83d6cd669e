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
type Credentials struct{ Name, Password, Code, Device string }

// Started is a session that has begun. Secret and Device go to the browser.
type Started struct {
	Secret    string
	Device    string
	ExpiresAt time.Time
	User      *accounts.User
}

// Login begins a session for somebody who knows the password and, where the account
// has one-time codes, the code. It returns ErrLogin, ErrCodeNeeded or *TooManyError.
//
// Guessing is slowed down by address and by account. A browser that was logged in
// from before is counted apart, so that those who guess do not lock the owner out.
func (s *Service) Login(ctx context.Context, c Credentials) (*Started, error) {
	now := s.cfg.Now()
	user, err := s.accounts.User(ctx, c.Name)
	if err != nil && !errors.Is(err, accounts.ErrNotFound) {
		return nil, err
	}
	if err := s.mayTry(ctx, c, user, now); err != nil {
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
		return nil, ErrLogin
	}
	if err := s.checkCode(ctx, user, c.Code); err != nil {
		if errors.Is(err, ErrLogin) {
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
	return s.begin(ctx, user, c.Device, "password")
}

// mayTry takes an attempt from whoever makes it.
func (s *Service) mayTry(ctx context.Context, c Credentials, user *accounts.User, now time.Time) error {
	address, account := clientaddr.Key(ClientOf(ctx).Address), strings.ToLower(c.Name)
	if user != nil && kindOf(c.Device) == KindDevice {
		known, err := s.accounts.KnowsDevice(ctx, Hash(c.Device), user.ID, now.Add(-deviceFor))
		if err != nil {
			return err
		}
		if known {
			return tooMany(s.guesses.Take("device "+string(Hash(c.Device)), now))
		}
	}
	if err := tooMany(s.strangers.Take(address, now)); err != nil {
		return err
	}
	if err := tooMany(s.guesses.Take("account "+account+" from "+address, now)); err != nil {
		return err
	}
	return tooMany(s.crowds.Take(account, now))
}

func tooMany(wait time.Duration) error {
	if wait > 0 {
		return &TooManyError{wait}
	}
	return nil
}

// begin starts a session; the browser is remembered.
func (s *Service) begin(ctx context.Context, user *accounts.User, device, how string) (*Started, error) {
	now, client := s.cfg.Now(), ClientOf(ctx)
	secret, hash := NewSecret(KindSession)
	session := &accounts.Session{
		UserID:    user.ID,
		CreatedAt: now,
		ExpireAt:  now.Add(s.cfg.SessionLifetime),
		Address:   client.Address,
		UserAgent: short(client.UserAgent),
	}
	if err := s.accounts.CreateSession(ctx, hash, session); err != nil {
		return nil, err
	}
	if kindOf(device) != KindDevice {
		device, _ = NewSecret(KindDevice)
	}
	if err := s.accounts.AddDevice(ctx, Hash(device), user.ID, now); err != nil {
		return nil, err
	}
	s.record(ctx, user.Name, "login", "user "+user.Name, map[string]any{"by": how})
	return &Started{Secret: secret, Device: device, ExpiresAt: session.ExpireAt, User: user}, nil
}

// Logout ends the caller's session.
func (s *Service) Logout(ctx context.Context, p *Principal) error {
	if p.SessionID == 0 {
		return &InvalidError{"session", "a token cannot be logged out; revoke it"}
	}
	err := s.accounts.EndSession(ctx, p.UserID, p.SessionID)
	if err != nil && !errors.Is(err, accounts.ErrNotFound) {
		return err
	}
	s.forget()
	s.record(ctx, p.Name, "logout", "user "+p.Name, nil)
	return nil
}

// short bounds a text from outside that is kept.
func short(text string) string {
	const most = 200
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}
