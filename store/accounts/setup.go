package accounts

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const setupPrefix = "setup_link:"

// AddSetup makes a setup link valid until the first administrator is created.
func (a *Accounts) AddSetup(ctx context.Context, hash []byte, now time.Time) error {
	_, err := a.pool.Exec(
		ctx,
		`INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`,
		setupPrefix+hex.EncodeToString(hash),
		now.UTC().Format(time.RFC3339),
	)
	if err != nil {
		return fmt.Errorf("store the setup link: %w", err)
	}
	return nil
}

// Setup is everything that the use of a setup link creates.
type Setup struct {
	User    User
	Session NewSession
	Audit   []Entry
}

// UseSetup creates the first administrator with a setup link, signs them in, and deletes all setup links. That is one
// transaction: if a part of it fails, the link stays valid and nothing is created. UseSetup sets the IDs of the user
// and of the session. It returns ErrNotFound if the link is not valid.
func (a *Accounts) UseSetup(ctx context.Context, hash []byte, setup *Setup) error {
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return fmt.Errorf("create the first user: %w", err)
		}
		var usable bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM settings WHERE key = $1) AND NOT EXISTS (SELECT FROM users WHERE `+admins+`)`,
			setupPrefix+hex.EncodeToString(hash)).Scan(&usable); err != nil {
			return fmt.Errorf("look up the setup link: %w", err)
		}
		if !usable {
			return ErrNotFound
		}
		if err := a.insertUser(ctx, tx, &setup.User); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM settings WHERE starts_with(key, $1)`, setupPrefix); err != nil {
			return fmt.Errorf("delete the setup link: %w", err)
		}
		setup.Session.UserID = setup.User.ID
		if err := insertSession(ctx, tx, &setup.Session); err != nil {
			return err
		}
		for i := range setup.Audit {
			if err := insertEntry(ctx, tx, &setup.Audit[i]); err != nil {
				return err
			}
		}
		return nil
	})
}
