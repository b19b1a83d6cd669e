package accounts

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Session is a session of a user who signed in.
type Session struct {
	ID                            int64
	UserID                        int64
	CreatedAt, LastSeen, ExpireAt time.Time
	Address, UserAgent            string
}

const sessionColumns = `s.id, s.user_id, s.created_at, s.last_seen, s.expires_at, s.address, s.user_agent`

func (s *Session) fields() []any {
	return []any{&s.ID, &s.UserID, &s.CreatedAt, &s.LastSeen, &s.ExpireAt, &s.Address, &s.UserAgent}
}

// UserSession is a session with its user.
type UserSession struct {
	Session
	User User
}

// maxSessions is the maximum number of sessions per user. Older sessions are deleted.
const maxSessions = 100

// NewSession is a session to create, with the browser in which the user signed in.
type NewSession struct {
	Session
	SecretHash, DeviceHash []byte
}

// CreateSession creates a session and sets its ID. It also records the sign-in and the browser.
func (a *Accounts) CreateSession(ctx context.Context, s *NewSession) error {
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error { return insertSession(ctx, tx, s) })
}

func insertSession(ctx context.Context, tx pgx.Tx, s *NewSession) error {
	if err := tx.QueryRow(ctx, `INSERT INTO sessions (secret_hash, user_id, created_at, last_seen, expires_at, address, user_agent)
		VALUES ($1, $2, $3, $3, $4, $5, $6) RETURNING id`, s.SecretHash, s.UserID, s.CreatedAt, s.ExpireAt, s.Address, s.UserAgent).Scan(&s.ID); err != nil {
		return fmt.Errorf("create a session: %w", err)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = $1 ORDER BY last_seen DESC, id DESC OFFSET $2)`, s.UserID, maxSessions); err != nil {
		return fmt.Errorf("delete the oldest sessions: %w", err)
	}
	if _, err := tx.Exec(ctx, `UPDATE users SET last_login = $2 WHERE id = $1`, s.UserID, s.CreatedAt); err != nil {
		return fmt.Errorf("record a sign-in: %w", err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO devices (secret_hash, user_id, last_used) VALUES ($1, $2, $3)
		ON CONFLICT (secret_hash) DO UPDATE SET user_id = $2, last_used = $3`, s.DeviceHash, s.UserID, s.CreatedAt); err != nil {
		return fmt.Errorf("record a device: %w", err)
	}
	return nil
}

// SessionByHash returns the session of a secret with its user, if it is valid at now and was used after
// idleSince. It records the last use, with a resolution of a minute.
func (a *Accounts) SessionByHash(ctx context.Context, hash []byte, now, idleSince time.Time) (*UserSession, error) {
	rows, err := a.pool.Query(
		ctx,
		`SELECT `+sessionColumns+`, `+userColumns+` FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE s.secret_hash = $1 AND s.expires_at > $2 AND s.last_seen > $3 AND NOT u.disabled`,
		hash,
		now,
		idleSince,
	)
	found, err := one(rows, err, "look for a session", func(row pgx.CollectableRow) (s UserSession, err error) {
		return s, row.Scan(append(s.Session.fields(), s.User.fields()...)...)
	})
	if err != nil {
		return nil, err
	}
	if now.Sub(found.LastSeen) > time.Minute {
		if _, err := a.pool.Exec(ctx, `UPDATE sessions SET last_seen = $2 WHERE id = $1 AND last_seen < $2`, found.ID, now); err != nil {
			return nil, fmt.Errorf("record the use of a session: %w", err)
		}
	}
	return found, nil
}

// Sessions returns the valid sessions of a user, the newest first.
func (a *Accounts) Sessions(ctx context.Context, userID int64, now, idleSince time.Time) ([]Session, error) {
	rows, err := a.pool.Query(
		ctx,
		`SELECT `+sessionColumns+` FROM sessions s WHERE user_id = $1 AND expires_at > $2 AND last_seen > $3 ORDER BY last_seen DESC, id DESC`,
		userID,
		now,
		idleSince,
	)
	return list(
		rows, err, "list sessions",
		func(row pgx.CollectableRow) (s Session, err error) { return s, row.Scan(s.fields()...) },
	)
}

// EndSession deletes a session of a user. It returns ErrNotFound if the user has no such session.
func (a *Accounts) EndSession(ctx context.Context, userID, id int64) error {
	tag, err := a.pool.Exec(ctx, `DELETE FROM sessions WHERE id = $1 AND user_id = $2`, id, userID)
	return changed(tag, err, "end a session")
}

// HasDevice reports whether a user signed in from a browser since a time.
func (a *Accounts) HasDevice(
	ctx context.Context, hash []byte, userID int64, since time.Time,
) (known bool, err error) {
	err = a.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM devices WHERE secret_hash = $1 AND user_id = $2 AND last_used > $3)`, hash, userID, since).
		Scan(&known)
	if err != nil {
		return false, fmt.Errorf("look up a device: %w", err)
	}
	return known, nil
}

// Expiry holds the times for Prune. It deletes rows that ended or were last used before them.
type Expiry struct {
	Now, SessionIdle, Device, Audit time.Time
}

// Prune deletes expired rows.
func (a *Accounts) Prune(ctx context.Context, e Expiry) error {
	for _, one := range []struct {
		statement string
		args      []any
	}{
		{`DELETE FROM sessions WHERE expires_at <= $1 OR last_seen <= $2`, []any{e.Now, e.SessionIdle}},
		{`DELETE FROM devices WHERE last_used <= $1`, []any{e.Device}},
		{`DELETE FROM tokens WHERE expires_at <= $1`, []any{e.Now}},
		{`DELETE FROM enrolment_keys WHERE expires_at <= $1 OR uses_left = 0`, []any{e.Now}},
		{`DELETE FROM audit_log WHERE at <= $1`, []any{e.Audit}},
	} {
		if _, err := a.pool.Exec(ctx, one.statement, one.args...); err != nil {
			return fmt.Errorf("delete expired rows: %w", err)
		}
	}
	return nil
}
