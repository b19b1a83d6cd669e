package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/internal/clientaddr"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// Credentials are what a person signs in with.
type Credentials struct {
	Name, Password string
	Code           string // one-time code; "" if none was entered
	DeviceSecret   string // LoginResult.DeviceSecret of an earlier sign-in in this browser, or ""
}

// LoginResult is a new session. The browser stores Secret and DeviceSecret in cookies.
type LoginResult struct {
	Secret       string
	DeviceSecret string
	ExpiresAt    time.Time
	User         *accounts.User
}

// Login starts a session for a person who enters the right password and, if the account requires one, a one-time
// code. It returns ErrLoginFailed, ErrCodeRequired or *RateLimitError.
//
// Attempts are limited by address and by account. Browsers that have signed in to the account before have limits
// of their own, so that an attacker cannot lock the owner out.
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
	match, outdated, err := s.hasher.check(ctx, c.Password, hash)
	if err != nil {
		return nil, err
	}
	if !match || user.Disabled {
		target := "user unknown" // the entered name may be a password, so it is not recorded
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
	if outdated {
		s.rehashPassword(ctx, user, c.Password)
	}
	return s.startSession(ctx, user, c.DeviceSecret, "password")
}

// rehashPassword replaces a hash that was made with other parameters than the current ones.
func (s *Service) rehashPassword(ctx context.Context, user *accounts.User, password string) {
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return // the next sign-in tries again
	}
	if err := s.accounts.ChangeUser(ctx, user.ID, accounts.UserChange{PasswordHash: &hash}); err != nil {
		s.logger.Warn("could not store a password hash with the current parameters", "user", user.Name, "err", err)
	}
}

// limitLogin consumes a token of each rate limit that a sign-in attempt is subject to.
func (s *Service) limitLogin(ctx context.Context, c Credentials, user *accounts.User, now time.Time) error {
	address, account := clientaddr.Key(ClientOf(ctx).Address), strings.ToLower(c.Name)
	if user != nil && secretKind(c.DeviceSecret) == KindDevice {
		known, err := s.accounts.HasDevice(ctx, HashSecret(c.DeviceSecret), user.ID, now.Add(-deviceLifetime))
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

// rateLimitError returns a *RateLimitError, or nil if there is nothing to wait for.
func rateLimitError(wait time.Duration) error {
	if wait > 0 {
		return &RateLimitError{wait}
	}
	return nil
}

// startSession creates a session and marks the browser as known. method goes to the audit log.
func (s *Service) startSession(ctx context.Context, user *accounts.User, device, method string) (*LoginResult, error) {
	session, result := s.newSession(ctx, user, device)
	if err := s.accounts.CreateSession(ctx, session); err != nil {
		return nil, err
	}
	s.record(ctx, user.Name, "login", "user "+user.Name, map[string]any{"by": method})
	return result, nil
}

// newSession returns a session to create, and what the browser stores of it. device is the secret of the browser, if it
// has one.
func (s *Service) newSession(
	ctx context.Context, user *accounts.User, device string,
) (*accounts.NewSession, *LoginResult) {
	now, client := s.cfg.Now(), ClientOf(ctx)
	secret, hash := NewSecret(KindSession)
	if secretKind(device) != KindDevice {
		device, _ = NewSecret(KindDevice)
	}
	session := &accounts.NewSession{
		Session: accounts.Session{
			UserID:    user.ID,
			CreatedAt: now,
			ExpireAt:  now.Add(s.cfg.SessionLifetime),
			Address:   client.Address,
			UserAgent: sanitize(client.UserAgent),
		},
		SecretHash: hash,
		DeviceHash: HashSecret(device),
	}
	return session, &LoginResult{Secret: secret, DeviceSecret: device, ExpiresAt: session.ExpireAt, User: user}
}

// Logout ends the caller's session. It returns *FieldError if the caller uses a token.
func (s *Service) Logout(ctx context.Context, p *Principal) error {
	if p.SessionID == 0 {
		return &FieldError{"session", "is required: a token cannot sign out. Revoke the token instead"}
	}
	err := s.accounts.EndSession(ctx, p.UserID, p.SessionID)
	if err != nil && !errors.Is(err, accounts.ErrNotFound) {
		return err
	}
	s.cache.remove(credentialID{session: p.SessionID})
	s.record(ctx, p.Name, "logout", "user "+p.Name, nil)
	return nil
}

// sanitize makes text from a client storable: at most 200 bytes of valid UTF-8 without NUL.
func sanitize(text string) string {
	const maxBytes = 200
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
	if len(text) > maxBytes {
		text = strings.ToValidUTF8(text[:maxBytes], "")
	}
	return text
}
