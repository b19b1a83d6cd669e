package query

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// View is the set of machines that a user can see: all, or those with one of the tags. The zero View is
// empty.
type View struct {
	All  bool
	Tags []string
}

// AllMachines returns the View of all machines.
func AllMachines() View { return View{All: true} }

// tags returns the tags as a parameter that is not NULL.
func (v View) tags() []string {
	if v.Tags == nil {
		return []string{}
	}
	return v.Tags
}

// IsVisible reports whether a machine exists and is in a view.
func (q *Queries) IsVisible(ctx context.Context, view View, machineID string) (visible bool, err error) {
	err = q.pool.QueryRow(ctx, `SELECT $2 OR tags && $3 FROM machines WHERE machine_id = $1`, machineID, view.All, view.tags()).
		Scan(&visible)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("check whether a machine is in a view: %w", err)
	}
	return visible, nil
}

// machineKeys returns the internal keys of the machines in a view.
func (q *Queries) machineKeys(ctx context.Context, view View) ([]int32, error) {
	rows, err := q.pool.Query(ctx, `SELECT id FROM machines WHERE $1 OR tags && $2`, view.All, view.tags())
	if err != nil {
		return nil, fmt.Errorf("list the machines of a view: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return nil, fmt.Errorf("list the machines of a view: %w", err)
	}
	return keys, nil
}
