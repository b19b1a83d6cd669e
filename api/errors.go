package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// accountProblem turns what package auth finds wrong into a problem; nil for other errors.
func accountProblem(err error) *problem.Problem {
	if wrong, ok := errors.AsType[*auth.FieldError](err); ok {
		return invalid(wrong.Field, "%s", wrong.Problem)
	}
	for _, one := range []struct {
		err    error
		status int
		code   string
		detail string
	}{
		{auth.ErrInvalidCredential, http.StatusUnauthorized, "unauthenticated", "The session or token is not known, has expired or was revoked."},
		{auth.ErrLoginFailed, http.StatusUnauthorized, "login_failed", "The name, the password or the code is wrong."},
		{auth.ErrCodeRequired, http.StatusUnauthorized, "code_needed", "This account asks for a one-time code too."},
		{auth.ErrInvalidSetupLink, http.StatusUnauthorized, "bad_setup_link", "This set-up link does not count any more; the server prints a new one when it starts and nobody can administer."},
		{auth.ErrInvalidEnrolmentKey, http.StatusUnauthorized, "bad_enrolment_key", "The enrolment key is not known, has expired or is used up."},
		{auth.ErrExternalAccount, http.StatusConflict, "logs_in_elsewhere", "This account logs in through the identity provider; its password and codes are kept there."},
		{auth.ErrNoRole, http.StatusForbidden, "no_role", "The identity provider gives you no role here."},
		{auth.ErrBusy, http.StatusServiceUnavailable, "busy", "Too many log-ins at the same time; try again."},
		{accounts.ErrNotFound, http.StatusNotFound, "not_found", "There is nothing of that name or id."},
		{accounts.ErrExists, http.StatusConflict, "name_taken", "The name is taken."},
		{accounts.ErrEnrolled, http.StatusConflict, "already_enrolled", "This machine has a token; revoke that first, or use a key that takes over."},
		{accounts.ErrLastAdmin, http.StatusConflict, "last_admin", "This would leave nobody who can administer."},
	} {
		if errors.Is(err, one.err) {
			return problem.New(one.status, one.code, one.detail)
		}
	}
	return nil
}

// instant is a time in an answer, null for none.
func timeOrNil(t *time.Time) *snapshot.Time {
	if t == nil {
		return nil
	}
	at := snapshot.TimeOf(*t)
	return &at
}

// deadline reads a time that something is to end at; nil for never.
func parseExpiry(field, text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	at, err := parseTime(field, text)
	if err != nil {
		return nil, err
	}
	t := at.Std()
	return &t, nil
}
