package pgsession_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/pgsession"
	"github.com/snapwatch/snapwatch/internal/testport"
)

// Without sslmode, an attempt with TLS comes first. Why it failed does not matter if the next one got an answer.
func TestCauseIsThatOfTheLastAttempt(t *testing.T) {
	t.Parallel()
	_, err := pgx.Connect(t.Context(), "postgres://user:secret@"+testport.FreeAddress(t)+"/name")
	got := pgsession.Cause(err).Error()
	if !strings.Contains(got, "connection refused") || strings.Contains(got, "user") {
		t.Errorf("nothing listens: %s", got)
	}
}
