// Package accounts reads and writes who may do what: users with their sessions and
// devices, tokens, enrolment keys and the audit log. It knows rows and no rules;
// package auth has those. Of secrets it sees only hashes.
package accounts

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	// ErrNotFound says that there is no such row, or that it does not count any more.
	ErrNotFound = errors.New("there is no such account, session, token or key")
	// ErrExists says that the name is taken.
	ErrExists = errors.New("the name is taken")
	// ErrEnrolled says that a machine has a token already.
	ErrEnrolled = errors.New("the machine has a token already")
	// ErrLastAdmin says that a change would leave nobody who can administer.
	ErrLastAdmin = errors.New("it is the last administrator who can log in")
)

// Accounts is the tables of who may do what. It is safe for concurrent use.
type Accounts struct{ pool *pgxpool.Pool }

// New returns the tables of a migrated database.
func New(pool *pgxpool.Pool) *Accounts { return &Accounts{pool: pool} }

// one collects a row, or returns ErrNotFound.
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

// list collects rows.
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

// changed turns the outcome of a statement that must meet a row into an error.
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
