package store

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"
)

// IsUnavailable reports whether an error means that the database cannot do its work at the moment, so that the same
// request may succeed later: it is away, starts or stops, is read-only, has no schema, or lacks connections, memory
// or locks.
func IsUnavailable(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		return isUnavailableCode(failure.Code)
	}
	if _, ok := errors.AsType[net.Error](err); ok && !errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, puddle.ErrClosedPool} {
		if errors.Is(err, known) {
			return true
		}
	}
	return pgconn.SafeToRetry(err) // nothing was sent, because the connection was closed
}

// IsDiskFull reports whether an error means that the database has no space left.
func IsDiskFull(err error) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	return ok && failure.Code == pgerrcode.DiskFull
}

// IsStatementTimeout reports whether the database has ended a statement because it took too long.
func IsStatementTimeout(err error) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	return ok && failure.Code == pgerrcode.QueryCanceled
}

// isUnavailableCode reports whether a SQLSTATE means that the database is unavailable.
func isUnavailableCode(code string) bool {
	switch code {
	case pgerrcode.ReadOnlySQLTransaction, pgerrcode.LockNotAvailable, pgerrcode.SerializationFailure,
		pgerrcode.DeadlockDetected, pgerrcode.IdleInTransactionSessionTimeout,
		pgerrcode.UndefinedTable: // the schema was removed, or migrated to an older version
		return true
	case pgerrcode.QueryCanceled: // a statement that took too long
		return false
	}
	return pgerrcode.IsConnectionException(code) || pgerrcode.IsInsufficientResources(code) ||
		pgerrcode.IsOperatorIntervention(code) || pgerrcode.IsSystemError(code)
}
