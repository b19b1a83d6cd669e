package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// User is a user account.
type User struct {
	ID       int64
	Name     string
	Role     string
	Tags     []string
	Disabled bool
	// PasswordHash is an argon2id hash with its parameters, or nil for users of an identity provider.
	PasswordHash *string
	// TOTPSecret is the key of one-time codes, or nil. TOTPStep is the time step of the last code that was
	// used.
	TOTPSecret *string
	TOTPStep   int64
	// Issuer and Subject identify the user at an identity provider.
	Issuer, Subject *string
	CreatedAt       time.Time
	LastLogin       *time.Time
}

const userColumns = `u.id, u.name, u.role, u.tags, u.disabled, u.password_hash, u.totp_secret, u.totp_step,
	u.issuer, u.subject, u.created_at, u.last_login`

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

// admins is the condition for administrators who can sign in.
const admins = `role = 'admin' AND NOT disabled`

// CountAdmins returns the number of administrators who can sign in.
func (a *Accounts) CountAdmins(ctx context.Context) (n int, err error) {
	if err := a.pool.QueryRow(ctx, `SELECT count(*) FROM users WHERE `+admins).Scan(&n); err != nil {
		return 0, fmt.Errorf("count administrators: %w", err)
	}
	return n, nil
}

// foldedName is the name of a user u without differences of case. Names consist of ASCII. The collation is fixed,
// because i is not the lower case of I in every locale.
const foldedName = `lower(u.name COLLATE "C")`

// User returns a user by name, ignoring case.
func (a *Accounts) User(ctx context.Context, name string) (*User, error) {
	rows, err := a.pool.Query(ctx, `SELECT `+userColumns+` FROM users u WHERE `+foldedName+` = lower($1 COLLATE "C")`, name)
	return one(rows, err, "read a user", scanUser)
}

// UserByID returns a user by id.
func (a *Accounts) UserByID(ctx context.Context, id int64) (*User, error) {
	rows, err := a.pool.Query(ctx, `SELECT `+userColumns+` FROM users u WHERE id = $1`, id)
	return one(rows, err, "read a user", scanUser)
}

// UserBySubject returns a user by the subject at an identity provider.
func (a *Accounts) UserBySubject(ctx context.Context, issuer, subject string) (*User, error) {
	rows, err := a.pool.Query(
		ctx,
		`SELECT `+userColumns+` FROM users u WHERE issuer = $1 AND subject = $2`,
		issuer,
		subject,
	)
	return one(rows, err, "read a user", scanUser)
}

// Users returns all users, sorted by name.
func (a *Accounts) Users(ctx context.Context) ([]User, error) {
	rows, err := a.pool.Query(ctx, `SELECT `+userColumns+` FROM users u ORDER BY `+foldedName)
	return list(rows, err, "list users", scanUser)
}

const insertUser = `INSERT INTO users (name, role, tags, password_hash, issuer, subject, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`

// CreateUser creates a user and sets its ID. It returns ErrExists if the name is in use.
func (a *Accounts) CreateUser(ctx context.Context, u *User) error {
	return a.insertUser(ctx, a.pool, u)
}

func (a *Accounts) insertUser(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, u *User) error {
	err := q.QueryRow(ctx, insertUser, u.Name, u.Role, tags(u.Tags), u.PasswordHash, u.Issuer, u.Subject, u.CreatedAt).
		Scan(&u.ID)
	if err != nil {
		return taken(fmt.Errorf("create a user: %w", err))
	}
	return nil
}

// UserChange is a change of a user. Fields that are nil do not change.
type UserChange struct {
	Role         *string
	Tags         *[]string
	Disabled     *bool
	PasswordHash *string
	// TOTPSecret sets the key of one-time codes. "" removes it.
	TOTPSecret *string
	// EndSessions deletes the devices of the user and all sessions except for KeepSession.
	EndSessions bool
	KeepSession int64
}

// ChangeUser changes a user. It returns ErrLastAdmin if no administrator would be left.
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
			return fmt.Errorf("delete the sessions of a user: %w", err)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM devices WHERE user_id = $1`, id); err != nil {
			return fmt.Errorf("delete the devices of a user: %w", err)
		}
		return nil
	})
}

// DeleteUser deletes a user with their sessions. It returns ErrLastAdmin if no administrator would be left.
func (a *Accounts) DeleteUser(ctx context.Context, id int64) error {
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		return a.guardAdmins(ctx, tx, `DELETE FROM users WHERE id = $1`, id)
	})
}

// guardAdmins runs a statement that must not remove the last administrator. A lock keeps two administrators
// from removing each other at the same time.
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

// TakeTOTPStep records that the code of a time step was used. It returns ErrNotFound if this code or a later
// one was used before.
func (a *Accounts) TakeTOTPStep(ctx context.Context, id, step int64) error {
	tag, err := a.pool.Exec(ctx, `UPDATE users SET totp_step = $2 WHERE id = $1 AND totp_step < $2`, id, step)
	return changed(tag, err, "note a one-time code")
}

// tags returns the tags as a parameter that is not NULL.
func tags(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// taken returns ErrExists for the violation of a unique constraint.
func taken(err error) error {
	if state, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok && state.SQLState() == "23505" {
		return ErrExists
	}
	return err
}
