// Package pgsession sets the parameters of database sessions. They do not depend on the defaults of the server, the
// database or the role, which an administrator may have set for other programs.
package pgsession

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// parameter is a parameter of the session and its value.
type parameter struct {
	name, value string
	// since is the first major version of PostgreSQL that has the parameter, 0 for all that are supported.
	since int
}

// timeouts are parameters that end statements, transactions or sessions. They are off unless the caller of Configure
// sets a timeout for statements, because requests have deadlines of their own, and maintenance and migrations take as
// long as they need. The connection URL may set them. They are set first, so that they do not end the statements that
// set the others.
var timeouts = []parameter{
	{name: "statement_timeout", value: "0"},
	{name: "transaction_timeout", value: "0", since: 17},
	{name: "lock_timeout", value: "0"},
	{name: "idle_in_transaction_session_timeout", value: "0"},
	{name: "idle_session_timeout", value: "0"},
}

// meanings are parameters that change how values are written as text, or the meaning of a statement.
//
// Some parameters of this kind are left to the administrator: search_path selects the schema, and
// default_transaction_read_only stops all writes, for example before a move to another server.
var meanings = []parameter{
	{name: "client_encoding", value: "UTF8"},
	{name: "standard_conforming_strings", value: "on"},
	{name: "datestyle", value: "ISO, MDY"},
	{name: "intervalstyle", value: "postgres"},
	{name: "timezone", value: "UTC"},
	{name: "bytea_output", value: "hex"},
	{name: "extra_float_digits", value: "1"},
	{name: "quote_all_identifiers", value: "off"},
	{name: "array_nulls", value: "on"},
	{name: "transform_null_equals", value: "off"},
	{name: "default_transaction_isolation", value: "read committed"},
	{name: "default_transaction_deferrable", value: "off"},
	{name: "jit", value: "off"}, // compilation takes longer than the longest query
}

// Configure makes new connections of a configuration set all parameters. application is the name that
// pg_stat_activity shows. statementTimeout ends statements that take longer, and lockTimeout those that wait longer for
// a lock; 0 is no limit. The parameters are set by a statement, because connection poolers refuse most parameters in
// the message that starts a session.
func Configure(config *pgconn.Config, application string, statementTimeout, lockTimeout time.Duration) {
	config.RuntimeParams["application_name"] = application
	inURL := func(name string) bool {
		_, ok := config.RuntimeParams[name]
		return ok || strings.Contains(config.RuntimeParams["options"], name)
	}
	var chosen []parameter
	for _, timeout := range timeouts {
		switch timeout.name {
		case "statement_timeout":
			timeout.value = strconv.FormatInt(statementTimeout.Milliseconds(), 10)
		case "lock_timeout":
			timeout.value = strconv.FormatInt(lockTimeout.Milliseconds(), 10)
		}
		if !inURL(timeout.name) {
			chosen = append(chosen, timeout)
		}
	}
	chosen = append(chosen, meanings...)
	config.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if _, err := conn.Exec(ctx, statements(chosen, majorVersion(conn))).ReadAll(); err != nil {
			return fmt.Errorf("set the parameters of the session: %w", err)
		}
		return nil
	}
}

// ReadOnly reports whether a session is read-only by its default_transaction_read_only. A session keeps the value that
// the database had at its start, also if the database is writable now. Then it is of no use, and a new one is.
func ReadOnly(conn *pgconn.PgConn) bool {
	return conn.ParameterStatus("default_transaction_read_only") == "on"
}

// statements returns statements that set the parameters that a version of PostgreSQL has.
func statements(parameters []parameter, version int) string {
	var b strings.Builder
	for _, p := range parameters {
		if p.since <= version {
			fmt.Fprintf(&b, "SET %s = '%s';", p.name, p.value)
		}
	}
	return b.String()
}

// majorVersion returns the major version of the server, 0 if it is unknown.
func majorVersion(conn *pgconn.PgConn) int {
	text := conn.ParameterStatus("server_version")
	end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(text)
	}
	version, err := strconv.Atoi(text[:end])
	if err != nil {
		return 0
	}
	return version
}
