package auth

import (
	"context"

	"github.com/snapwatch/snapwatch/store/accounts"
)

// UserParams describe a user to create.
type UserParams struct {
	Name     string
	Password string
	Role     Role
	Tags     []string // machines that the user may read
}

// CreateUser creates a user who signs in with a password. It returns *GrantError for a user with more rights than the
// caller.
func (s *Service) CreateUser(ctx context.Context, params UserParams) (*accounts.User, error) {
	if err := checkUser(params.Name, params.Role, params.Tags); err != nil {
		return nil, err
	}
	if err := checkUserGrant(ctx, params.Role, params.Tags); err != nil {
		return nil, err
	}
	user, err := s.buildUser(ctx, params)
	if err != nil {
		return nil, err
	}
	if err := s.accounts.CreateUser(ctx, user); err != nil {
		return nil, err
	}
	s.Record(ctx, "user.added", "user "+user.Name, map[string]any{"role": user.Role, "tags": user.Tags})
	return user, nil
}

// buildUser checks the parameters and returns the row of the user.
func (s *Service) buildUser(ctx context.Context, params UserParams) (*accounts.User, error) {
	if err := checkUser(params.Name, params.Role, params.Tags); err != nil {
		return nil, err
	}
	if err := checkPassword("password", params.Password, params.Name); err != nil {
		return nil, err
	}
	hash, err := s.hasher.hash(ctx, params.Password)
	if err != nil {
		return nil, err
	}
	return &accounts.User{
		Name:         params.Name,
		Role:         string(params.Role),
		Tags:         params.Tags,
		PasswordHash: &hash,
		CreatedAt:    s.cfg.Now(),
	}, nil
}

// Users returns all users.
func (s *Service) Users(ctx context.Context) ([]accounts.User, error) { return s.accounts.Users(ctx) }

// User returns a user, or accounts.ErrNotFound.
func (s *Service) User(ctx context.Context, name string) (*accounts.User, error) {
	return s.accounts.User(ctx, name)
}

// UserChange is a change of a user by an administrator. Fields that are nil stay as they are.
type UserChange struct {
	Role     *Role
	Tags     *[]string
	Disabled *bool
	Password *string
	// RemoveTOTP removes the key for one-time codes, for a user who has lost it.
	RemoveTOTP bool
}

// ChangeUser changes a user. Setting a password or disabling the user ends the user's sessions. It returns *GrantError
// if the user has, or would have, more rights than the caller.
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
	if err := checkChangeGrant(ctx, user, c); err != nil {
		return nil, err
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
	s.cache.purge()
	s.Record(ctx, "user.changed", "user "+user.Name, detail)
	return s.accounts.UserByID(ctx, user.ID)
}

// setPassword checks a new password and adds it to a change that ends the user's other sessions. field is the
// field that errors name.
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

// DeleteUser deletes a user and the user's sessions.
func (s *Service) DeleteUser(ctx context.Context, name string) error {
	user, err := s.accounts.User(ctx, name)
	if err != nil {
		return err
	}
	if err := s.accounts.DeleteUser(ctx, user.ID); err != nil {
		return err
	}
	s.cache.purge()
	s.Record(ctx, "user.deleted", "user "+user.Name, nil)
	return nil
}

// Sessions returns the active sessions of a user.
func (s *Service) Sessions(ctx context.Context, userID int64) ([]accounts.Session, error) {
	now := s.cfg.Now()
	return s.accounts.Sessions(ctx, userID, now, now.Add(-s.cfg.SessionIdle))
}

// EndSession ends a session of a user.
func (s *Service) EndSession(ctx context.Context, user *accounts.User, id int64) error {
	if err := s.accounts.EndSession(ctx, user.ID, id); err != nil {
		return err
	}
	s.cache.remove(credentialID{session: id})
	s.Record(ctx, "session.ended", "user "+user.Name, map[string]any{"session": id})
	return nil
}
