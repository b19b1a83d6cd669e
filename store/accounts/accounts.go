// Package accounts stores users with their sessions and devices, tokens, enrolment keys and the audit log.
// The rules of access control are in package auth. Secrets are stored as hashes.
package accounts

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	// ErrNotFound means that the row does not exist or is no longer valid.
	ErrNotFound = errors.New("no such account, session, token or key")
	// ErrExists means that the name is already in use.
	ErrExists = errors.New("the name is already in use")
	// ErrEnrolled means that the machine already has a token.
	ErrEnrolled = errors.New("the machine already has a token")
	// ErrLastAdmin means that no administrator would be left after a change.
	ErrLastAdmin = errors.New("this is the last administrator who can sign in")
)

// Accounts accesses the tables of accounts. It is safe for concurrent use.
type Accounts struct{ pool *pgxpool.Pool }

// New returns the Accounts of a migrated database.
func New(pool *pgxpool.Pool) *Accounts { return &Accounts{pool: pool} }

// one returns the only row, or ErrNotFound.
func one[T any](rows pgx.Rows, err error, what string, scan pgx.RowToFunc[T]) (*T, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return &v, nil
}

// list returns all rows.
func list[T any](rows pgx.Rows, err error, what string, scan pgx.RowToFunc[T]) ([]T, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	all, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return all, nil
}

// changed returns ErrNotFound if a statement affected no row.
func changed(tag pgconn.CommandTag, err error, what string) error {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "23505" {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	return nil
}
