package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
)

// Kind is what a secret is for; it is the secret's prefix, so that a person, a
// scanner of repositories and a test that reads logs know one when they see it.
type SecretKind string

// The kinds.
const (
	KindSession      SecretKind = "sws_"
	KindToken        SecretKind = "swt_"
	KindAgent        SecretKind = "swa_"
	KindEnrolmentKey SecretKind = "swe_"
	KindSetup        SecretKind = "swl_"
	KindDevice       SecretKind = "swd_"
	// kindSettings are tokens that an administrator has made up, for the settings.
	kindConfigured SecretKind = "settings"
)

// secretBytes of randomness are more than anybody can guess, so that a plain hash
// keeps a secret.
const secretBytes = 32

// SecretPattern matches every secret that snapwatch makes.
var SecretPattern = regexp.MustCompile(`sw[staeld]_[A-Za-z0-9_-]{43}`)

// NewSecret makes a secret, and the hash under which it is kept.
func NewSecret(kind SecretKind) (secret string, hash []byte) {
	var random [secretBytes]byte
	_, _ = rand.Read(random[:]) // it never fails
	secret = string(kind) + base64.RawURLEncoding.EncodeToString(random[:])
	return secret, HashSecret(secret)
}

// Hash returns what the database has of a secret.
func HashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// The lengths of secrets that the settings may give.
const minConfiguredSecret, maxConfiguredSecret = 32, 256

// kindOf tells what a text is as a secret, "" if it is none.
func secretKind(text string) SecretKind {
	switch {
	case len(text) == 4+base64.RawURLEncoding.EncodedLen(secretBytes) && SecretPattern.MatchString(text):
		return SecretKind(text[:4])
	case len(text) >= minConfiguredSecret && len(text) <= maxConfiguredSecret:
		return kindConfigured
	}
	return ""
}

// checkSetting tells what is wrong with a secret of the settings.
func checkConfiguredSecret(name, secret string) error {
	if len(secret) < minConfiguredSecret || len(secret) > maxConfiguredSecret {
		return &FieldError{name, fmt.Sprintf("must have %d to %d characters", minConfiguredSecret, maxConfiguredSecret)}
	}
	return nil
}
