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
type Kind string

// The kinds.
const (
	KindSession Kind = "sws_"
	KindToken   Kind = "swt_"
	KindAgent   Kind = "swa_"
	KindKey     Kind = "swe_"
	KindSetup   Kind = "swl_"
	KindDevice  Kind = "swd_"
	// kindSettings are tokens that an administrator has made up, for the settings.
	kindSettings Kind = "settings"
)

// secretBytes of randomness are more than anybody can guess, so that a plain hash
// keeps a secret.
const secretBytes = 32

// SecretPattern matches every secret that snapwatch makes.
var SecretPattern = regexp.MustCompile(`sw[staeld]_[A-Za-z0-9_-]{43}`)

// NewSecret makes a secret, and the hash under which it is kept.
func NewSecret(kind Kind) (secret string, hash []byte) {
	var random [secretBytes]byte
	_, _ = rand.Read(random[:]) // it never fails
	secret = string(kind) + base64.RawURLEncoding.EncodeToString(random[:])
	return secret, Hash(secret)
}

// Hash returns what the database has of a secret.
func Hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// The lengths of secrets that the settings may give.
const minSettings, maxSettings = 32, 256

// kindOf tells what a text is as a secret, "" if it is none.
func kindOf(text string) Kind {
	switch {
	case len(text) == 4+base64.RawURLEncoding.EncodedLen(secretBytes) && SecretPattern.MatchString(text):
		return Kind(text[:4])
	case len(text) >= minSettings && len(text) <= maxSettings:
		return kindSettings
	}
	return ""
}

// checkSetting tells what is wrong with a secret of the settings.
func checkSetting(name, secret string) error {
	if len(secret) < minSettings || len(secret) > maxSettings {
		return &InvalidError{name, fmt.Sprintf("must have %d to %d characters", minSettings, maxSettings)}
	}
	return nil
}
