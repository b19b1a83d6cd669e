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
	return fmt.Errorf("cannot connect: %w", innermost(failed))
}

// innermost returns the error at the end of the chain of an error, or of the first of several.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			next = several.Unwrap()[0]
		}
		if next == nil {
			return err
		}
		err = next
	}
}
