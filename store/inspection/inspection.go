// Package inspection reads facts about a database, for people who look for a fault in its set-up. All statements run in
// read-only transactions.
package inspection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	application    = "snapwatch doctor"
	connectTimeout = 5 * time.Second
)

// Database is a connection to a database that is inspected.
type Database struct {
	conn   *pgx.Conn
	config *pgx.ConnConfig
}

// Connect connects to a database. Errors do not contain its password.
func Connect(ctx context.Context, databaseURL string) (*Database, error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("parse database URL: %w", withoutURL(err))
	}
	config.RuntimeParams["application_name"] = application
	config.ConnectTimeout = connectTimeout
	// Statements are not prepared, because a pooler in transaction mode may execute each in another session.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return &Database{conn, config}, nil
}

// withoutURL removes the connection string from an error of pgx.
func withoutURL(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return errors.New("it is not a valid connection string")
}

// Close closes the connection.
func (d *Database) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	_ = d.conn.Close(ctx)
}

// read calls do in a read-only transaction, in which a statement may take ten seconds. The settings of the session
// stay as they are, because behind a pooler, the session may be shared with a server.
func (d *Database) read(ctx context.Context, do func(pgx.Tx) error) error {
	tx, err := d.conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = '10s'`); err != nil {
		return fmt.Errorf("limit the time of statements: %w", err)
	}
	return do(tx)
}

// Server is the state of a database and of its server.
type Server struct {
	Version    string `json:"version"`
	VersionNum int    `json:"version_num"` // such as 170002
	Encoding   string `json:"encoding"`
	Collation  string `json:"collation"`
	// CollationOutdated reports that the system's version of the collation is not that of the indexes.
	CollationOutdated bool   `json:"collation_outdated"`
	TimeZone          string `json:"time_zone"`
	// Ahead is how far the clock of the database is ahead of that of this machine, to half of the time of a query.
	Ahead time.Duration `json:"ahead_ns"`
	// Standby reports that the server is a replica, and ReadOnly that transactions are read-only by default.
	Standby   bool `json:"standby"`
	ReadOnly  bool `json:"read_only"`
	Superuser bool `json:"superuser"`
	// Unsafe has the settings that must be on and are not: a crash can then lose or damage data.
	Unsafe    []string `json:"unsafe"`
	Checksums bool     `json:"checksums"`

	MaxConnections      int `json:"max_connections"`
	ReservedConnections int `json:"reserved_connections"`
	// DatabaseConnections and RoleConnections are limits, -1 for none.
	DatabaseConnections int `json:"database_connections"`
	RoleConnections     int `json:"role_connections"`
	// Servers is the number of snapwatch servers that are connected.
	Servers int `json:"servers"`
}

// Server reads the state of the database and of its server.
func (d *Database) Server(ctx context.Context) (s Server, err error) {
	err = d.read(ctx, func(tx pgx.Tx) error {
		sent := time.Now()
		var databaseTime time.Time
		if err := tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&databaseTime); err != nil {
			return fmt.Errorf("read the clock: %w", err)
		}
		s.Ahead = databaseTime.Sub(sent.Add(time.Since(sent) / 2))
		if err := tx.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('server_version_num')::int,
				pg_encoding_to_char(encoding), coalesce(nullif(datcollate, ''), 'C'),
				coalesce(datcollversion <> pg_database_collation_actual_version(oid), false),
				coalesce((SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'), ''),
				pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool,
				(SELECT rolsuper FROM pg_roles WHERE rolname = current_user), current_setting('data_checksums')::bool,
				current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int
					+ coalesce(current_setting('reserved_connections', true)::int, 0),
				datconnlimit, (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user)
			FROM pg_database WHERE datname = current_database()`).
			Scan(&s.Version, &s.VersionNum, &s.Encoding, &s.Collation, &s.CollationOutdated, &s.TimeZone, &s.Standby,
				&s.ReadOnly, &s.Superuser, &s.Checksums, &s.MaxConnections, &s.ReservedConnections,
				&s.DatabaseConnections, &s.RoleConnections); err != nil {
			return fmt.Errorf("read the settings of the database: %w", err)
		}
		rows, err := tx.Query(ctx, `SELECT name FROM unnest($1::text[]) name WHERE current_setting(name) = 'off'`,
			[]string{"fsync", "full_page_writes", "synchronous_commit", "autovacuum", "track_counts"})
		if err == nil {
			s.Unsafe, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return fmt.Errorf("read the settings of the database: %w", err)
		}
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'snapwatch listener'`).Scan(&s.Servers); err != nil {
			return fmt.Errorf("count the servers of the database: %w", err)
		}
		return nil
	})
	return s, err
}
