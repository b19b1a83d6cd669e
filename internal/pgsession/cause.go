package pgsession

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Cause returns the cause of a failed connection, without the addresses that were tried and the name of the role. It
// returns other errors as they are.
func Cause(err error) error {
	failed, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return err
	}
	// An answer of the database says more than that it refused the first attempt, with TLS.
	if answer, ok := errors.AsType[*pgconn.PgError](failed); ok {
		return fmt.Errorf("cannot connect: %w", answer)
	}
	return fmt.Errorf("cannot connect: %w", innermost(failed))
}

// innermost returns the error at the end of the chain of an error, or of the last of several.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			all := several.Unwrap()
			next = all[len(all)-1]
		}
		if next == nil {
			return err
		}
		err = next
	}
}
