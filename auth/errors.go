package auth

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrCredential says that a credential is none, or does not count any more.
	ErrCredential = errors.New("the credential is not known, has expired or was revoked")
	// ErrLogin says that a name and its password, or code, are not somebody's; it does
	// not say which.
	ErrLogin = errors.New("the name, the password or the code is wrong")
	// ErrCodeNeeded says that the password is right and a one-time code is missing.
	ErrCodeNeeded = errors.New("a one-time code is needed")
	// ErrSetup says that a set-up link does not count, or not any more.
	ErrSetup = errors.New("the set-up link does not count any more")
	// ErrKey says that an enrolment key does not count.
	ErrKey = errors.New("the enrolment key is not known, has expired or is used up")
	// ErrElsewhere says that a person logs in elsewhere and has no password here.
	ErrElsewhere = errors.New("this account logs in through the identity provider")
	// ErrBusy says that too many passwords are being checked.
	ErrBusy = errors.New("too many log-ins at the same time")
)

// TooManyError says that somebody must wait.
type TooManyError struct{ Wait time.Duration }

// Error tells for how long.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("too many attempts; wait %s", e.Wait.Round(time.Second))
}

// InvalidError says what is wrong with a field.
type InvalidError struct{ Field, Problem string }

// Error names the field.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Problem }
