package accounts

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// User is a person.
type User struct {
	ID       int64
	Name     string
	Role     string
	Tags     []string
	Disabled bool
	// PasswordHash is argon2id with its parameters; nil for those who log in elsewhere.
	PasswordHash *string
	// TOTPSecret is the key of one-time codes, nil for none; TOTPStep is the last
	// time step whose code was taken.
	TOTPSecret *string
	TOTPStep   int64
	// Issuer and Subject name the person at an identity provider.
	Issuer, Subject *string
	CreatedAt       time.Time
	LastLogin       *time.Time
}

const userColumns = `u.id, u.name, u.role, u.tags, u.disabled, u.password_hash, u.totp_secret, u.totp_step, u.issuer, u.subject, u.created_at, u.last_login`

func (u *User) fields() []any {
	return []any{
		&u.ID,
		&u.Name,
		&u.Role,
		&u.Tags,
		&u.Disabled,
		&u.PasswordHash,
		&u.TOTPSecret,
		&u.TOTPStep,
		&u.Issuer,
		&u.Subject,
		&u.CreatedAt,
		&u.LastLogin,
	}
}

func scanUser(row pgx.CollectableRow) (u User, err error) { return u, row.Scan(u.fields()...) }

// admins are the users who can administer.
const admins = `role = 'admin' AND NOT disabled`

// CountAdmins returns how many users can administer.
func (a *Accounts) CountAdmins(ctx context.Context) (n int, err error) {
	if err := a.pool.QueryRow(ctx, `SELECT count(*) FROM users WHERE `+admins).Scan(&n); err != nil {
		return 0, fmt.Errorf("count administrators: %w", err)
	}
	return n, nil
}

// User reads a user by name, in any case.
func (a *Accounts) User(ctx context.Context, name string) (*User, error) {
	rows, err := a.pool.Query(ctx, `SELECT `+userColumns+` FROM users u WHERE lower(name) = lower($1)`, name)
	return one(rows, err, "read a user", scanUser)
}

// UserByID reads a user by id.
func (a *Accounts) UserByID(ctx context.Context, id int64) (*User, error) {
	rows, err := a.pool.Query(ctx, `SELECT `+userColumns+` FROM users u WHERE id = $1`, id)
	return one(rows, err, "read a user", scanUser)
}

// UserBySubject reads a user by what an identity provider calls them.
func (a *Accounts) UserBySubject(ctx context.Context, issuer, subject string) (*User, error) {
	rows, err := a.pool.Query(
		ctx,
		`SELECT `+userColumns+` FROM users u WHERE issuer = $1 AND subject = $2`,
		issuer,
		subject,
	)
	return one(rows, err, "read a user", scanUser)
}

// Users reads all users, by name.
func (a *Accounts) Users(ctx context.Context) ([]User, error) {
	rows, err := a.pool.Query(ctx, `SELECT `+userColumns+` FROM users u ORDER BY lower(name)`)
	return list(rows, err, "list users", scanUser)
}

const insertUser = `INSERT INTO users (name, role, tags, password_hash, issuer, subject, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`

// CreateUser adds a user and sets its ID; ErrExists if the name is taken.
func (a *Accounts) CreateUser(ctx context.Context, u *User) error {
	return a.insertUser(ctx, a.pool, u)
}

func (a *Accounts) insertUser(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, u *User) error {
	err := q.QueryRow(ctx, insertUser, u.Name, u.Role, tags(u.Tags), u.PasswordHash, u.Issuer, u.Subject, u.CreatedAt).
		Scan(&u.ID)
	if err != nil {
		return taken(fmt.Errorf("add a user: %w", err))
	}
	return nil
}

// UserChange is what of a user changes; nil leaves a field as it is.
type UserChange struct {
	Role         *string
	Tags         *[]string
	Disabled     *bool
	PasswordHash *string
	// TOTPSecret sets the key of one-time codes; "" takes it away.
	TOTPSecret *string
	// KeepSession is the session that outlives the change; all others of the user end
	// if EndSessions is set, and the devices are forgotten.
	EndSessions bool
	KeepSession int64
}

// ChangeUser changes a user. ErrLastAdmin if nobody could administer afterwards.
func (a *Accounts) ChangeUser(ctx context.Context, id int64, change UserChange) error {
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		if change.Role != nil || change.Disabled != nil || change.Tags != nil {
			err := a.guardAdmins(
				ctx,
				tx,
				`UPDATE users SET role = coalesce($2, role), tags = coalesce($3, tags), disabled = coalesce($4, disabled) WHERE id = $1`,
				id,
				change.Role,
				change.Tags,
				change.Disabled,
			)
			if err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, `UPDATE users SET password_hash = coalesce($2, password_hash),
			totp_secret = CASE WHEN $3::text IS NULL THEN totp_secret ELSE nullif($3, '') END WHERE id = $1`, id, change.PasswordHash, change.TOTPSecret)
		if err := changed(tag, err, "change a user"); err != nil {
			return err
		}
		if !change.EndSessions {
			return nil
		}
		if _, err := tx.Exec(ctx, `DELETE FROM sessions WHERE user_id = $1 AND id <> $2`, id, change.KeepSession); err != nil {
			return fmt.Errorf("end a user's sessions: %w", err)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM devices WHERE user_id = $1`, id); err != nil {
			return fmt.Errorf("forget a user's devices: %w", err)
		}
		return nil
	})
}

// DeleteUser removes a user with their sessions; ErrLastAdmin as for ChangeUser.
func (a *Accounts) DeleteUser(ctx context.Context, id int64) error {
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		return a.guardAdmins(ctx, tx, `DELETE FROM users WHERE id = $1`, id)
	})
}

// guardAdmins runs a statement that must leave an administrator where there was one.
// Those who would remove each other at the same time wait for each other.
func (a *Accounts) guardAdmins(ctx context.Context, tx pgx.Tx, statement string, args ...any) error {
	if _, err := tx.Exec(ctx, `LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE`); err != nil {
		return fmt.Errorf("change a user: %w", err)
	}
	var before, after int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM users WHERE `+admins).Scan(&before); err != nil {
		return fmt.Errorf("count administrators: %w", err)
	}
	tag, err := tx.Exec(ctx, statement, args...)
	if err := changed(tag, err, "change a user"); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM users WHERE `+admins).Scan(&after); err != nil {
		return fmt.Errorf("count administrators: %w", err)
	}
	if before > 0 && after == 0 {
		return ErrLastAdmin
	}
	return nil
}

// TakeTOTPStep notes that the code of a time step was given; ErrNotFound if it, or a
// later one, was given before.
func (a *Accounts) TakeTOTPStep(ctx context.Context, id, step int64) error {
	tag, err := a.pool.Exec(ctx, `UPDATE users SET totp_step = $2 WHERE id = $1 AND totp_step < $2`, id, step)
	return changed(tag, err, "note a one-time code")
}

const setupPrefix = "setup_link:"

// AddSetup makes a set-up link count until the first administrator is there.
func (a *Accounts) AddSetup(ctx context.Context, hash []byte, now time.Time) error {
	_, err := a.pool.Exec(
		ctx,
		`INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`,
		setupPrefix+hex.EncodeToString(hash),
		now.UTC().Format(time.RFC3339),
	)
	if err != nil {
		return fmt.Errorf("keep the set-up link: %w", err)
	}
	return nil
}

// UseSetup adds the first administrator by a set-up link, and ends all of those.
// ErrNotFound if the link does not count.
func (a *Accounts) UseSetup(ctx context.Context, hash []byte, u *User) error {
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return fmt.Errorf("add the first user: %w", err)
		}
		var usable bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM settings WHERE key = $1) AND NOT EXISTS (SELECT FROM users WHERE `+admins+`)`,
			setupPrefix+hex.EncodeToString(hash)).Scan(&usable); err != nil {
			return fmt.Errorf("look for the set-up link: %w", err)
		}
		if !usable {
			return ErrNotFound
		}
		if err := a.insertUser(ctx, tx, u); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM settings WHERE starts_with(key, $1)`, setupPrefix)
		if err != nil {
			return fmt.Errorf("end the set-up link: %w", err)
		}
		return nil
	})
}

// tags never is null in the database.
func tags(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// taken turns a violated uniqueness into ErrExists.
func taken(err error) error {
	if state, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok && state.SQLState() == "23505" {
		return ErrExists
	}
	return err
}
