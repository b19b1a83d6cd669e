package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNoRole says that the reader's role does not exist.
var ErrNoRole = errors.New("the database has no such role")

// readable are the relations that hold the history, and nothing else.
var readable = slices.Concat(plainTables, series, rollups, []string{"process_history", "machine_history"})

// GrantReader lets a database role read the history: for Grafana and the like. It
// may not read anything else that is in the schema, and change nothing.
func (s *Store) GrantReader(ctx context.Context, role string) error {
	var exists bool
	if err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, role).Scan(&exists); err != nil {
		return fmt.Errorf("look for the role %s: %w", role, err)
	}
	if !exists {
		return fmt.Errorf("%w: %s", ErrNoRole, role)
	}
	var schema string
	if err := s.pool.QueryRow(ctx, `SELECT current_schema()`).Scan(&schema); err != nil {
		return fmt.Errorf("look for the schema: %w", err)
	}
	name := pgx.Identifier{role}.Sanitize()
	for _, statement := range []string{
		"GRANT USAGE ON SCHEMA " + pgx.Identifier{schema}.Sanitize() + " TO " + name,
		"GRANT SELECT ON " + strings.Join(slices.Concat(readable, s.profile.beneath()), ", ") + " TO " + name,
	} {
		if _, err := s.pool.Exec(ctx, statement); err != nil {
			if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "XX000" && strings.Contains(pgErr.Message, "concurrently updated") {
				return nil // another server grants the same just now
			}
			return fmt.Errorf("grant %s the history: %w", role, err)
		}
	}
	return nil
}
