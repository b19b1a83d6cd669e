package auth

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrCredential says that a credential is none, or does not count any more.
	ErrInvalidCredential = errors.New("the credential is not known, has expired or was revoked")
	// ErrLogin says that a name and its password, or code, are not somebody's; it does
	// not say which.
	ErrLoginFailed = errors.New("the name, the password or the code is wrong")
	// ErrCodeNeeded says that the password is right and a one-time code is missing.
	ErrCodeRequired = errors.New("a one-time code is needed")
	// ErrSetup says that a set-up link does not count, or not any more.
	ErrInvalidSetupLink = errors.New("the set-up link does not count any more")
	// ErrKey says that an enrolment key does not count.
	ErrInvalidEnrolmentKey = errors.New("the enrolment key is not known, has expired or is used up")
	// ErrElsewhere says that a person logs in elsewhere and has no password here.
	ErrExternalAccount = errors.New("this account logs in through the identity provider")
	// ErrBusy says that too many passwords are being checked.
	ErrBusy = errors.New("too many log-ins at the same time")
)

// TooManyError says that somebody must wait.
type RateLimitError struct{ RetryAfter time.Duration }

// Error tells for how long.
func (e *RateLimitError) Error() string {
	return fmt.Sprintf("too many attempts; wait %s", e.RetryAfter.Round(time.Second))
}

// InvalidError says what is wrong with a field.
type FieldError struct{ Field, Problem string }

// Error names the field.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }
