package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Token is the credential of a program or an agent.
type Token struct {
	ID        int64
	Name      string
	Role      string
	MachineID *string // for the token of an agent
	Tags      []string
	Scopes    []string // nil for all scopes of the role
	CreatedAt time.Time
	CreatedBy string
	ExpiresAt *time.Time
	LastUsed  *time.Time
	Replaces  *int64
}

const tokenColumns = `id, name, role, machine_id, tags, scopes, created_at, created_by, expires_at, last_used, replaces`

func scanToken(row pgx.CollectableRow) (t Token, err error) {
	return t, row.Scan(
		&t.ID, &t.Name, &t.Role, &t.MachineID, &t.Tags, &t.Scopes, &t.CreatedAt, &t.CreatedBy, &t.ExpiresAt,
		&t.LastUsed, &t.Replaces,
	)
}

const insertToken = `INSERT INTO tokens (secret_hash, name, role, machine_id, tags, scopes, created_at, created_by, expires_at, replaces)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`

func (t *Token) values(hash []byte) []any {
	return []any{
		hash,
		t.Name,
		t.Role,
		t.MachineID,
		tags(t.Tags),
		t.Scopes,
		t.CreatedAt,
		t.CreatedBy,
		t.ExpiresAt,
		t.Replaces,
	}
}

// CreateToken creates a token and sets its ID.
func (a *Accounts) CreateToken(ctx context.Context, hash []byte, t *Token) error {
	if err := a.pool.QueryRow(ctx, insertToken, t.values(hash)...).Scan(&t.ID); err != nil {
		return taken(fmt.Errorf("create a token: %w", err))
	}
	return nil
}

// SetToken replaces the token with the same name and creator. It is for tokens from the settings.
func (a *Accounts) SetToken(ctx context.Context, hash []byte, t *Token) error {
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('snapwatch token ' || $1, 0))`, t.Name); err != nil {
			return fmt.Errorf("set a token: %w", err)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM tokens WHERE name = $1 AND created_by = $2 AND secret_hash <> $3`, t.Name, t.CreatedBy, hash); err != nil {
			return fmt.Errorf("set a token: %w", err)
		}
		err := tx.QueryRow(ctx, `SELECT id FROM tokens WHERE secret_hash = $1`, hash).Scan(&t.ID)
		if errors.Is(err, pgx.ErrNoRows) {
			err = tx.QueryRow(ctx, insertToken, t.values(hash)...).Scan(&t.ID)
		}
		if err != nil {
			return fmt.Errorf("set a token: %w", err)
		}
		return nil
	})
}

// TokenByHash returns the token of a secret, if it is valid. It records the last use, with a resolution of a
// minute. The first use of a token deletes the token that it replaces.
func (a *Accounts) TokenByHash(ctx context.Context, hash []byte, now time.Time) (*Token, error) {
	rows, err := a.pool.Query(
		ctx,
		`SELECT `+tokenColumns+` FROM tokens WHERE secret_hash = $1 AND (expires_at IS NULL OR expires_at > $2)`,
		hash,
		now,
	)
	t, err := one(rows, err, "look for a token", scanToken)
	if err != nil {
		return nil, err
	}
	if t.Replaces != nil {
		if _, err := a.pool.Exec(ctx, `DELETE FROM tokens WHERE id = $1`, *t.Replaces); err != nil {
			return nil, fmt.Errorf("delete a replaced token: %w", err)
		}
	}
	if t.LastUsed == nil || now.Sub(*t.LastUsed) > time.Minute {
		if _, err := a.pool.Exec(ctx, `UPDATE tokens SET last_used = $2 WHERE id = $1`, t.ID, now); err != nil {
			return nil, fmt.Errorf("record the use of a token: %w", err)
		}
	}
	return t, nil
}

// TokenFilter selects tokens.
type TokenFilter struct {
	// MachineID selects the tokens of a machine. If it is empty, all tokens are selected.
	MachineID string
	AfterID   int64
	Limit     int
}

// Tokens returns tokens in the order of their creation.
func (a *Accounts) Tokens(ctx context.Context, f TokenFilter) ([]Token, error) {
	rows, err := a.pool.Query(
		ctx,
		`SELECT `+tokenColumns+` FROM tokens WHERE id > $1 AND ($2 = '' OR machine_id = $2) ORDER BY id LIMIT $3`,
		f.AfterID,
		f.MachineID,
		f.Limit,
	)
	return list(rows, err, "list tokens", scanToken)
}

// DeleteToken deletes a token, and those that would replace it. It returns the token.
func (a *Accounts) DeleteToken(ctx context.Context, id int64) (t *Token, err error) {
	err = pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		// A rotation of the token waits for this lock, and then finds no token.
		rows, err := tx.Query(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE id = $1 FOR UPDATE`, id)
		if t, err = one(rows, err, "end a token", scanToken); err != nil {
			return err
		}
		// A replacement can have one of its own only after its first use, which deletes this token.
		if _, err := tx.Exec(ctx, `DELETE FROM tokens WHERE id = $1 OR replaces = $1`, id); err != nil {
			return fmt.Errorf("end a token: %w", err)
		}
		return nil
	})
	return t, err
}

// RotateToken creates a token that replaces another on its first use. It deletes an earlier replacement that
// was never used. The new token expires when the other one does, so a token cannot prolong its own validity.
func (a *Accounts) RotateToken(ctx context.Context, id int64, hash []byte, now time.Time) error {
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE id = $1 FOR UPDATE`, id)
		t, err := one(rows, err, "rotate a token", scanToken)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM tokens WHERE replaces = $1`, id); err != nil {
			return fmt.Errorf("rotate a token: %w", err)
		}
		t.CreatedAt, t.Replaces = now, &id
		if err := tx.QueryRow(ctx, insertToken, t.values(hash)...).Scan(&t.ID); err != nil {
			return fmt.Errorf("rotate a token: %w", err)
		}
		return nil
	})
}
