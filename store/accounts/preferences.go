package accounts

import (
	"context"
	"fmt"
)

// Preferences are the display preferences of a user.
type Preferences struct {
	Exclude []string `json:"exclude,omitempty" nullable:"false" maxItems:"200" doc:"Names of processes to leave out"`
	Include []string `json:"include,omitempty" nullable:"false" maxItems:"200" doc:"Names of processes to show alone"`
	Columns []string `json:"columns,omitempty" nullable:"false" maxItems:"50" doc:"Columns of the process table"`
}

// Preferences returns the preferences of a user.
func (a *Accounts) Preferences(ctx context.Context, userID int64) (p Preferences, err error) {
	if err := a.pool.QueryRow(ctx, `SELECT preferences FROM users WHERE id = $1`, userID).Scan(&p); err != nil {
		return p, fmt.Errorf("read preferences: %w", err)
	}
	return p, nil
}

// SetPreferences replaces the preferences of a user.
func (a *Accounts) SetPreferences(ctx context.Context, userID int64, p Preferences) error {
	tag, err := a.pool.Exec(ctx, `UPDATE users SET preferences = $2 WHERE id = $1`, userID, p)
	return changed(tag, err, "keep preferences")
}
