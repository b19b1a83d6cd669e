package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Passwords are long rather than strange: NIST SP 800-63B-4 asks for 15 characters
// where there is nothing besides, and against rules of composition; with throttled
// log-ins 12 are kept to here.
const (
	minPassword = 12  // characters
	maxPassword = 256 // bytes
)

// hasher hashes passwords with argon2id, a few at a time: each takes memory.
type hasher struct {
	params *argon2id.Params
	slots  chan struct{}
	// decoy is compared with where there is no account, so that this takes as long.
	decoyHash string
}

// DefaultParams of argon2id: 64 MiB, more than RFC 9106 and OWASP ask for, in about a
// tenth of a second.
func DefaultPasswordParams() *argon2id.Params {
	return &argon2id.Params{Memory: 64 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// newHasher makes a decoy that is the hash of nothing: to compare with it takes as long
// as with any other, and it need not be computed.
func newHasher(params *argon2id.Params) *hasher {
	random := make([]byte, params.SaltLength+params.KeyLength)
	_, _ = rand.Read(random) // it never fails
	text := base64.RawStdEncoding.EncodeToString
	decoy := fmt.Sprintf(
		"$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, params.Memory, params.Iterations, params.Parallelism,
		text(random[:params.SaltLength]), text(random[params.SaltLength:]),
	)
	return &hasher{params: params, slots: make(chan struct{}, 2), decoyHash: decoy}
}

// enter waits for a slot, as long as the caller does.
func (h *hasher) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ErrBusy
	}
}

func (h *hasher) release() { <-h.slots }

// hash returns what is kept of a password, with the parameters.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer h.release()
	hash, err := argon2id.CreateHash(norm.NFC.String(password), h.params)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// check compares a password with a hash, nil for an account that has none. stale tells
// that the hash was made with other parameters.
func (h *hasher) check(ctx context.Context, password string, hash *string) (match, stale bool, err error) {
	if len(password) > maxPassword {
		return false, false, nil
	}
	if err := h.acquire(ctx); err != nil {
		return false, false, err
	}
	defer h.release()
	against := h.decoyHash
	if hash != nil {
		against = *hash
	}
	match, params, err := argon2id.CheckHash(norm.NFC.String(password), against)
	if err != nil {
		return false, false, fmt.Errorf("check a password: %w", err)
	}
	return match && hash != nil, *params != *h.params, nil
}

// checkNew tells what is wrong with a password that is to be set.
func checkPassword(field, password, name string) error {
	switch {
	case !utf8.ValidString(password):
		return &FieldError{field, "must be valid UTF-8"}
	case utf8.RuneCountInString(password) < minPassword:
		return &FieldError{field, fmt.Sprintf("must have at least %d characters", minPassword)}
	case len(password) > maxPassword:
		return &FieldError{field, fmt.Sprintf("must have at most %d bytes", maxPassword)}
	case strings.Contains(strings.ToLower(password), strings.ToLower(name)) && len(name) > 3:
		return &FieldError{field, "must not contain the name"}
	case strings.Count(password, password[:1]) == len(password):
		return &FieldError{field, "must not be one character over and over"}
	}
	return nil
}
