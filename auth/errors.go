package auth

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrInvalidCredential is returned for a session or token that does not exist, has expired or was revoked.
	ErrInvalidCredential = errors.New("the credential does not exist, has expired or was revoked")
	// ErrLoginFailed is returned for a wrong name, password or code. It does not say which of them is wrong.
	ErrLoginFailed = errors.New("the name, the password or the code is wrong")
	// ErrCodeRequired is returned when the password is right and the one-time code is missing.
	ErrCodeRequired = errors.New("a one-time code is required")
	// ErrInvalidSetupLink is returned for a setup link that does not exist or was used.
	ErrInvalidSetupLink = errors.New("the setup link is invalid or was used before")
	// ErrInvalidEnrolmentKey is returned for an enrolment key that does not exist, has expired or has no uses left.
	ErrInvalidEnrolmentKey = errors.New("the enrolment key does not exist, has expired or has no uses left")
	// ErrExternalAccount is returned when an account of an identity provider is to get a password or one-time codes.
	ErrExternalAccount = errors.New("this account signs in through the identity provider")
	// ErrBusy is returned when the context ends while too many other passwords are being hashed, or if too many
	// enrolments wait.
	ErrBusy = errors.New("too many sign-ins or enrolments at the same time")
)

// RateLimitError is returned to a caller that made too many attempts.
type RateLimitError struct {
	// RetryAfter is how long the caller must wait before its next attempt.
	RetryAfter time.Duration
}

// Error returns a message that says how long to wait.
func (e *RateLimitError) Error() string {
	return fmt.Sprintf("too many attempts; wait %s", e.RetryAfter.Round(time.Second))
}

// FieldError is returned for an invalid value of a field.
type FieldError struct {
	Field   string
	Problem string // continues a sentence that begins with the field's name, such as "must be in the future"
}

// Error returns the field and the problem.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }
