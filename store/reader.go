package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNoRole says that the reader's role does not exist.
var ErrNoRole = errors.New("the database has no such role")

// readerSchema has the views and functions that a reader reads; it is made by the
// migrations.
const readerSchema = "history"

// GrantReader lets a database role read the views of the schema history: for Grafana
// and the like. It may read nothing else, and change nothing. ahead reports whether
// the role finds the views by their plain names, as dashboards do.
func (s *Store) GrantReader(ctx context.Context, role string) (ahead bool, err error) {
	var exists bool
	if err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, role).Scan(&exists); err != nil {
		return false, fmt.Errorf("look for the role %s: %w", role, err)
	}
	if !exists {
		return false, fmt.Errorf("%w: %s", ErrNoRole, role)
	}
	var schema string
	if err := s.pool.QueryRow(ctx, `SELECT current_schema()`).Scan(&schema); err != nil {
		return false, fmt.Errorf("look for the schema: %w", err)
	}
	name := pgx.Identifier{role}.Sanitize()
	for _, statement := range []string{
		// Versions before this one gave it tables.
		"REVOKE ALL ON ALL TABLES IN SCHEMA " + pgx.Identifier{schema}.Sanitize() + " FROM " + name,
		"GRANT USAGE ON SCHEMA " + readerSchema + " TO " + name,
		"GRANT SELECT ON ALL TABLES IN SCHEMA " + readerSchema + " TO " + name,
	} {
		if _, err := s.pool.Exec(ctx, statement); err != nil {
			if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "XX000" &&
				strings.Contains(pgErr.Message, "concurrently updated") {
				continue // another server grants the same just now
			}
			return false, fmt.Errorf("grant %s the history: %w", role, err)
		}
	}
	err = s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_db_role_setting d, unnest(d.setconfig) c, pg_roles r
		WHERE d.setrole = r.oid AND r.rolname = $1 AND c LIKE 'search_path=%' || $2 || '%')`, role, readerSchema).Scan(&ahead)
	if err != nil {
		return false, fmt.Errorf("look at the role's search path: %w", err)
	}
	return ahead, nil
}
