package accounts

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Key is an enrolment key. Agents exchange it for tokens.
type Key struct {
	ID        int64
	Name      string
	Tags      []string // tags of the machines that enrol with it
	UsesLeft  *int     // nil for no limit
	TakesOver bool     // whether machines that already have a token may enrol again
	CreatedAt time.Time
	CreatedBy string
	ExpiresAt *time.Time
}

const keyColumns = `id, name, tags, uses_left, takes_over, created_at, created_by, expires_at`

func (k *Key) fields() []any {
	return []any{
		&k.ID, &k.Name, &k.Tags, &k.UsesLeft, &k.TakesOver, &k.CreatedAt, &k.CreatedBy, &k.ExpiresAt,
	}
}

func scanKey(row pgx.CollectableRow) (k Key, err error) { return k, row.Scan(k.fields()...) }

const insertKey = `INSERT INTO enrolment_keys (secret_hash, name, tags, uses_left, takes_over, created_at, created_by, expires_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

func (k *Key) values(hash []byte) []any {
	return []any{hash, k.Name, tags(k.Tags), k.UsesLeft, k.TakesOver, k.CreatedAt, k.CreatedBy, k.ExpiresAt}
}

// CreateKey creates an enrolment key and sets its ID.
func (a *Accounts) CreateKey(ctx context.Context, hash []byte, k *Key) error {
	if err := a.pool.QueryRow(ctx, insertKey+` RETURNING id`, k.values(hash)...).Scan(&k.ID); err != nil {
		return fmt.Errorf("create an enrolment key: %w", err)
	}
	return nil
}

// SetKey replaces the key with the same name and creator. It is for keys from the settings.
func (a *Accounts) SetKey(ctx context.Context, hash []byte, k *Key) error {
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM enrolment_keys WHERE name = $1 AND created_by = $2 AND secret_hash <> $3`, k.Name, k.CreatedBy, hash); err != nil {
			return fmt.Errorf("set an enrolment key: %w", err)
		}
		if _, err := tx.Exec(ctx, insertKey+` ON CONFLICT (secret_hash) DO NOTHING`, k.values(hash)...); err != nil {
			return fmt.Errorf("set an enrolment key: %w", err)
		}
		return nil
	})
}

// Keys returns all valid enrolment keys.
func (a *Accounts) Keys(ctx context.Context, now time.Time) ([]Key, error) {
	rows, err := a.pool.Query(
		ctx,
		`SELECT `+keyColumns+` FROM enrolment_keys WHERE (expires_at IS NULL OR expires_at > $1) AND uses_left IS DISTINCT FROM 0 ORDER BY id`,
		now,
	)
	return list(rows, err, "list enrolment keys", scanKey)
}

// DeleteKey deletes an enrolment key and returns it.
func (a *Accounts) DeleteKey(ctx context.Context, id int64) (*Key, error) {
	rows, err := a.pool.Query(ctx, `DELETE FROM enrolment_keys WHERE id = $1 RETURNING `+keyColumns, id)
	return one(rows, err, "end an enrolment key", scanKey)
}

// IsKeyValid reports whether an enrolment key exists, has not expired and has uses left.
func (a *Accounts) IsKeyValid(ctx context.Context, hash []byte, now time.Time) (valid bool, err error) {
	err = a.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM enrolment_keys WHERE secret_hash = $1
		AND (expires_at IS NULL OR expires_at > $2) AND uses_left IS DISTINCT FROM 0)`, hash, now).Scan(&valid)
	if err != nil {
		return false, fmt.Errorf("look for an enrolment key: %w", err)
	}
	return valid, nil
}
