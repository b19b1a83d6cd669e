package backend_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/snapwatch/snapwatch/store/backend"
)

// The server may have any language.
func TestIsMissingPartition(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  pgconn.PgError
		want bool
	}{
		{pgconn.PgError{Code: "23514", Message: `no partition of relation "snapshots" found for row`}, true},
		{pgconn.PgError{Code: "23514", Message: `keine Partition von Relation »snapshots« gefunden`}, true},
		{pgconn.PgError{Code: "23514", ConstraintName: "machines_polling_interval_check"}, false},
		{pgconn.PgError{Code: "23505"}, false},
	} {
		if got := backend.IsMissingPartition(fmt.Errorf("copy: %w", &test.err)); got != test.want {
			t.Errorf("%s %s: %v, want %v", test.err.Code, test.err.Message, got, test.want)
		}
	}
}
