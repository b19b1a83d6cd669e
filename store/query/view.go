package query

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// View says which machines somebody sees: those that have one of the tags. The zero
// View sees none.
type View struct {
	All  bool
	Tags []string
}

// Everything sees every machine.
func Everything() View { return View{All: true} }

// tags is never null in the database.
func (v View) tags() []string {
	if v.Tags == nil {
		return []string{}
	}
	return v.Tags
}

// Sees reports whether a machine is seen; one that does not exist is not.
func (q *Queries) Sees(ctx context.Context, view View, machineID string) (sees bool, err error) {
	err = q.pool.QueryRow(ctx, `SELECT $2 OR tags && $3 FROM machines WHERE machine_id = $1`, machineID, view.All, view.tags()).
		Scan(&sees)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether a machine is seen: %w", err)
	}
	return sees, nil
}

// seen returns the keys of the machines that a view sees.
func (q *Queries) seen(ctx context.Context, view View) ([]int32, error) {
	rows, err := q.pool.Query(ctx, `SELECT id FROM machines WHERE $1 OR tags && $2`, view.All, view.tags())
	if err != nil {
		return nil, fmt.Errorf("list the machines that are seen: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return nil, fmt.Errorf("list the machines that are seen: %w", err)
	}
	return keys, nil
}
