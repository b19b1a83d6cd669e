package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNoRole means that the role does not exist.
var ErrNoRole = errors.New("the database has no such role")

// readerSchema is the schema with the views and functions for readers. Migrations create it.
const readerSchema = "history"

// GrantReader grants a database role read access to the views of the schema history, for example for
// Grafana, and revokes access to all tables. inSearchPath reports whether the role's search path contains the
// schema, as dashboards require.
func (s *Store) GrantReader(ctx context.Context, role string) (inSearchPath bool, err error) {
	var exists bool
	if err := s.pools.control.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, role).Scan(&exists); err != nil {
		return false, fmt.Errorf("look up the role %s: %w", role, err)
	}
	if !exists {
		return false, fmt.Errorf("%w: %s", ErrNoRole, role)
	}
	var schema string
	if err := s.pools.control.QueryRow(ctx, `SELECT current_schema()`).Scan(&schema); err != nil {
		return false, fmt.Errorf("look up the schema: %w", err)
	}
	name := pgx.Identifier{role}.Sanitize()
	for _, statement := range []string{
		// Earlier versions granted access to tables.
		"REVOKE ALL ON ALL TABLES IN SCHEMA " + pgx.Identifier{schema}.Sanitize() + " FROM " + name,
		"GRANT USAGE ON SCHEMA " + readerSchema + " TO " + name,
		"GRANT SELECT ON ALL TABLES IN SCHEMA " + readerSchema + " TO " + name,
	} {
		if _, err := s.pools.control.Exec(ctx, statement); err != nil {
			if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "XX000" &&
				strings.Contains(pgErr.Message, "concurrently updated") {
				continue // another server is granting the same
			}
			return false, fmt.Errorf("grant %s access to the schema history: %w", role, err)
		}
	}
	err = s.pools.control.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_db_role_setting d, unnest(d.setconfig) c, pg_roles r
		WHERE d.setrole = r.oid AND r.rolname = $1 AND c LIKE 'search_path=%' || $2 || '%')`, role, readerSchema).Scan(&inSearchPath)
	if err != nil {
		return false, fmt.Errorf("look up the search path of the role: %w", err)
	}
	return inSearchPath, nil
}
