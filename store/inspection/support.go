package inspection

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// maxRows is the maximum number of rows of each list.
const maxRows = 1000

// Setting is a setting of the database server that is not at its default.
type Setting struct {
	Name   string  `json:"name"`
	Value  string  `json:"value"`
	Unit   *string `json:"unit,omitempty"`
	Source string  `json:"source"`
}

// textSettings are the settings of type string whose values are known to contain neither secrets nor names. Others,
// such as primary_conninfo and archive_command, can contain passwords.
var textSettings = []string{
	"DateStyle", "TimeZone", "client_encoding", "default_text_search_config", "lc_collate", "lc_ctype", "lc_messages",
	"lc_monetary", "lc_numeric", "lc_time", "log_timezone", "server_encoding", "server_version",
	"shared_preload_libraries", "synchronous_standby_names", "temp_tablespaces", "timescaledb.license",
	"timescaledb.telemetry_level",
}

// Settings returns the settings that are not at their defaults.
func (d *Database) Settings(ctx context.Context) (settings []Setting, err error) {
	err = d.read(ctx, func(tx pgx.Tx) error {
		settings, err = collect[Setting](ctx, tx, `SELECT name, setting AS value, unit, source FROM pg_settings
			WHERE source <> 'default' AND (vartype <> 'string' OR name = ANY($1)) ORDER BY name LIMIT $2`, textSettings, maxRows)
		return err
	})
	return settings, err
}

// Relation is the size of a table or of another relation that the current role owns.
type Relation struct {
	Schema     string `json:"schema"`
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	TotalBytes int64  `json:"total_bytes"`
	IndexBytes int64  `json:"index_bytes"`
	Rows       int64  `json:"estimated_rows"`
	DeadRows   int64  `json:"dead_rows"`
	LastVacuum string `json:"last_vacuum"`
}

// Relations returns the largest relations of the current role.
func (d *Database) Relations(ctx context.Context) (relations []Relation, err error) {
	err = d.read(ctx, func(tx pgx.Tx) error {
		relations, err = collect[Relation](
			ctx,
			tx,
			`SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
				coalesce(pg_total_relation_size(c.oid), 0) AS total_bytes, coalesce(pg_indexes_size(c.oid), 0) AS index_bytes,
				c.reltuples::bigint AS rows, coalesce(pg_stat_get_dead_tuples(c.oid), 0) AS dead_rows,
				coalesce(greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid))::text, '')
					AS last_vacuum
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p', 'm') AND c.relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
				AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%'
			ORDER BY total_bytes DESC, name LIMIT $1`,
			maxRows,
		)
		return err
	})
	return relations, err
}

// Session is a session of the database. It has no names of users and no addresses.
type Session struct {
	PID int32 `json:"pid"`
	// Application is the name of one of snapwatch's programs, or "other".
	Application string  `json:"application"`
	Backend     string  `json:"backend"`
	State       string  `json:"state"`
	Wait        string  `json:"wait"`
	BlockedBy   []int32 `json:"blocked_by,omitempty"`
	// Transaction and Statement are the ages of both, in seconds.
	Transaction float64 `json:"transaction_seconds"`
	Statement   float64 `json:"statement_seconds"`
	// Query is the text of a statement of snapwatch, whose values are parameters. Constants in it are replaced by a
	// question mark, because any program can use the name of snapwatch. It is "" for other programs.
	Query string `json:"query,omitempty"`
}

// Activity returns the sessions of the current database and of background processes.
func (d *Database) Activity(ctx context.Context) (sessions []Session, err error) {
	err = d.read(ctx, func(tx pgx.Tx) error {
		sessions, err = collect[Session](ctx, tx, `SELECT pid, a.application, coalesce(backend_type, '') AS backend,
				coalesce(state, '') AS state, coalesce(wait_event_type || ' ' || wait_event, '') AS wait,
				pg_blocking_pids(pid) AS blocked_by, coalesce(extract(epoch FROM clock_timestamp() - xact_start)::float8, 0) AS transaction,
				coalesce(extract(epoch FROM clock_timestamp() - query_start)::float8, 0) AS statement,
				CASE WHEN a.application = 'other' THEN '' ELSE
					regexp_replace(left(coalesce(query, ''), 2000), $1, '?', 'g') END AS query
			FROM pg_stat_activity, LATERAL (SELECT CASE WHEN application_name = ANY($2) THEN application_name ELSE 'other' END
				AS application) a
			WHERE datname = current_database() OR datname IS NULL ORDER BY pid LIMIT $3`,
			constants, programs, maxRows)
		return err
	})
	return sessions, err
}

// programs are the names that connections of snapwatch have.
var programs = []string{
	"snapwatch posts", "snapwatch control", "snapwatch live", "snapwatch upkeep", "snapwatch reads",
	"snapwatch listener", "snapwatch migrate", "snapwatch accounts", "snapwatch", application,
}

// constants matches the constants of a statement, also one that is cut off: strings, dollar-quoted strings and numbers
// that are no part of a name. It also matches comments and quoted names.
const constants = `/\*.*|--[^\n]*|[eEbBxXuUnN]?&?'(?:[^']|'')*(?:'|$)|"[^"]*"?|\$[A-Za-z_]*\$.*|(?<![\w$])\d[\w.]*`

// collect reads rows into structs by the names of their fields, in any case and with underscores.
func collect[T any](ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("inspect the database: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[T])
	if err != nil {
		return nil, fmt.Errorf("inspect the database: %w", err)
	}
	return list, nil
}
