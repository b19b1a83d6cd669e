package auth

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/snapwatch/snapwatch/internal/clientaddr"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// The forms of names and tags.
const (
	NamePattern = `^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$`
	TagPattern  = `^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$`
	// MaxTags bounds the tags of a machine, a user or a token.
	MaxTags = 100
)

var namePattern, tagPattern = regexp.MustCompile(NamePattern), regexp.MustCompile(TagPattern)

// checkTags tells what is wrong with tags; star says that * may be among them.
func checkTags(field string, tags []string, star bool) error {
	if len(tags) > MaxTags {
		return &FieldError{field, fmt.Sprintf("has %d entries; at most %d are taken", len(tags), MaxTags)}
	}
	for _, tag := range tags {
		if !tagPattern.MatchString(tag) && (!star || tag != AllMachines) {
			return &FieldError{field, "must be of A-Z a-z 0-9 . _ : -, and at most 64 characters each"}
		}
	}
	return nil
}

// CheckMachineTags tells what is wrong with the tags of a machine.
func CheckMachineTags(tags []string) error { return checkTags("tags", tags, false) }

// NewUser is a person to add.
type UserParams struct {
	Name     string
	Password string
	Role     Role
	Tags     []string
}

// AddUser adds a person who logs in with a password.
func (s *Service) CreateUser(ctx context.Context, n UserParams) (*accounts.User, error) {
	user, err := s.buildUser(ctx, n)
	if err != nil {
		return nil, err
	}
	if err := s.accounts.CreateUser(ctx, user); err != nil {
		return nil, err
	}
	s.Record(ctx, "user.added", "user "+user.Name, map[string]any{"role": user.Role, "tags": user.Tags})
	return user, nil
}

func (s *Service) buildUser(ctx context.Context, n UserParams) (*accounts.User, error) {
	if err := checkUser(n.Name, n.Role, n.Tags); err != nil {
		return nil, err
	}
	if err := checkPassword("password", n.Password, n.Name); err != nil {
		return nil, err
	}
	hash, err := s.hasher.hash(ctx, n.Password)
	if err != nil {
		return nil, err
	}
	return &accounts.User{
		Name:         n.Name,
		Role:         string(n.Role),
		Tags:         n.Tags,
		PasswordHash: &hash,
		CreatedAt:    s.cfg.Now(),
	}, nil
}

func checkUser(name string, role Role, tags []string) error {
	if !namePattern.MatchString(name) {
		return &FieldError{
			"name",
			"must begin with a letter or digit and be of A-Z a-z 0-9 . _ @ + -, at most 64 characters",
		}
	}
	if role != RoleAdmin && role != RoleUser {
		return &FieldError{"role", "must be admin or user"}
	}
	return checkTags("tags", tags, true)
}

// SetupNeeded makes a one-time secret for the set-up link if nobody can administer
// yet; else it returns "".
func (s *Service) CreateSetupSecret(ctx context.Context) (secret string, err error) {
	if n, err := s.accounts.CountAdmins(ctx); err != nil || n > 0 {
		return "", err
	}
	secret, hash := NewSecret(KindSetup)
	return secret, s.accounts.AddSetup(ctx, hash, s.cfg.Now())
}

// HasAdmin reports whether somebody can administer.
func (s *Service) HasAdmin(ctx context.Context) (bool, error) {
	n, err := s.accounts.CountAdmins(ctx)
	return n > 0, err
}

// Setup adds the first administrator, by the link that the server has printed, and
// logs them in.
func (s *Service) Setup(ctx context.Context, secret string, n UserParams) (*LoginResult, error) {
	now := s.cfg.Now()
	if err := rateLimitError(s.perAddress.Take(clientaddr.Key(ClientOf(ctx).Address), now)); err != nil {
		return nil, err
	}
	if secretKind(secret) != KindSetup {
		return nil, ErrInvalidSetupLink
	}
	n.Role = RoleAdmin
	user, err := s.buildUser(ctx, n)
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
	s.record(ctx, user.Name, "user.added", "user "+user.Name, map[string]any{"role": user.Role, "by": "set-up link"})
	return s.startSession(ctx, user, "", "set-up link")
}

// Users lists all people.
func (s *Service) Users(ctx context.Context) ([]accounts.User, error) { return s.accounts.Users(ctx) }

// User reads a person.
func (s *Service) User(ctx context.Context, name string) (*accounts.User, error) {
	return s.accounts.User(ctx, name)
}

// UserChange is what an administrator changes about a person; nil leaves a field as it is.
type UserChange struct {
	Role     *Role
	Tags     *[]string
	Disabled *bool
	Password *string
	// ForgetTOTP takes one-time codes away, for somebody who has lost the key.
	RemoveTOTP bool
}

// ChangeUser changes a person. A new password, or being disabled, ends their sessions.
func (s *Service) ChangeUser(ctx context.Context, name string, c UserChange) (*accounts.User, error) {
	user, err := s.accounts.User(ctx, name)
	if err != nil {
		return nil, err
	}
	change := accounts.UserChange{Tags: c.Tags, Disabled: c.Disabled}
	detail := map[string]any{}
	if c.Role != nil {
		if err := checkUser(user.Name, *c.Role, nil); err != nil {
			return nil, err
		}
		role := string(*c.Role)
		change.Role, detail["role"] = &role, role
	}
	if c.Tags != nil {
		if err := checkTags("tags", *c.Tags, true); err != nil {
			return nil, err
		}
		detail["tags"] = *c.Tags
	}
	if c.Disabled != nil {
		change.EndSessions, detail["disabled"] = *c.Disabled, *c.Disabled
	}
	if c.RemoveTOTP {
		none := ""
		change.TOTPSecret, detail["totp"] = &none, "removed"
	}
	if c.Password != nil {
		if err := s.setPassword(ctx, user, "password", *c.Password, &change); err != nil {
			return nil, err
		}
		detail["password"] = "changed"
	}
	if err := s.accounts.ChangeUser(ctx, user.ID, change); err != nil {
		return nil, err
	}
	s.purgeCache()
	s.Record(ctx, "user.changed", "user "+user.Name, detail)
	return s.accounts.UserByID(ctx, user.ID)
}

// newPassword puts a password into a change; other sessions end with it.
func (s *Service) setPassword(
	ctx context.Context, user *accounts.User, field, password string, change *accounts.UserChange,
) error {
	if user.Issuer != nil {
		return ErrExternalAccount
	}
	if err := checkPassword(field, password, user.Name); err != nil {
		return err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	change.PasswordHash, change.EndSessions = &hash, true
	return nil
}

// DeleteUser removes a person and ends their sessions.
func (s *Service) DeleteUser(ctx context.Context, name string) error {
	user, err := s.accounts.User(ctx, name)
	if err != nil {
		return err
	}
	if err := s.accounts.DeleteUser(ctx, user.ID); err != nil {
		return err
	}
	s.purgeCache()
	s.Record(ctx, "user.deleted", "user "+user.Name, nil)
	return nil
}

// Self reads the person behind a session; ErrNotFound for a token.
func (s *Service) CurrentUser(ctx context.Context, p *Principal) (*accounts.User, error) {
	if p.UserID == 0 {
		return nil, accounts.ErrNotFound
	}
	return s.accounts.UserByID(ctx, p.UserID)
}

// Preferences reads how the person behind a session likes to see things; ErrNotFound
// for a token.
func (s *Service) Preferences(ctx context.Context, p *Principal) (accounts.Preferences, error) {
	if p.UserID == 0 {
		return accounts.Preferences{}, accounts.ErrNotFound
	}
	return s.accounts.Preferences(ctx, p.UserID)
}

// SetPreferences keeps them.
func (s *Service) SetPreferences(ctx context.Context, p *Principal, preferences accounts.Preferences) error {
	if p.UserID == 0 {
		return accounts.ErrNotFound
	}
	return s.accounts.SetPreferences(ctx, p.UserID, preferences)
}

// proved reads the caller's account, if they know its password: who has found an open
// browser shall not change how to get in.
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
		return nil, &FieldError{"password", "is not this account's"}
	}
	return user, nil
}

// ChangePassword changes the caller's password; their other sessions end.
func (s *Service) ChangePassword(ctx context.Context, p *Principal, current, fresh string) error {
	user, err := s.verifyPassword(ctx, p, current)
	if err != nil {
		return err
	}
	change := accounts.UserChange{KeepSession: p.SessionID}
	if err := s.setPassword(ctx, user, "new_password", fresh, &change); err != nil {
		return err
	}
	if err := s.accounts.ChangeUser(ctx, user.ID, change); err != nil {
		return err
	}
	s.purgeCache()
	s.Record(ctx, "password.changed", "user "+user.Name, nil)
	return nil
}

// Sessions lists a person's sessions.
func (s *Service) Sessions(ctx context.Context, userID int64) ([]accounts.Session, error) {
	now := s.cfg.Now()
	return s.accounts.Sessions(ctx, userID, now, now.Add(-s.cfg.SessionIdle))
}

// EndSession ends one of a person's sessions.
func (s *Service) EndSession(ctx context.Context, user *accounts.User, id int64) error {
	if err := s.accounts.EndSession(ctx, user.ID, id); err != nil {
		return err
	}
	s.purgeCache()
	s.Record(ctx, "session.ended", "user "+user.Name, map[string]any{"session": id})
	return nil
}

// sorted returns tags in order, each once.
func sortedUnique(tags []string) []string { return slices.Compact(slices.Sorted(slices.Values(tags))) }
