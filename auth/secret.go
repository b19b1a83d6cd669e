package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"

	"github.com/snapwatch/snapwatch/internal/secretform"
)

// SecretKind is the purpose of a secret. It is also the secret's prefix, so that people, secret scanners and the
// tests that search logs can recognize a secret.
type SecretKind string

// The kinds of secrets.
const (
	KindSession      SecretKind = secretform.Session
	KindToken        SecretKind = secretform.Token
	KindAgent        SecretKind = secretform.Agent
	KindEnrolmentKey SecretKind = secretform.EnrolmentKey
	KindSetup        SecretKind = secretform.Setup
	KindDevice       SecretKind = secretform.Device
	// kindConfigured is a token from the server's settings, which has no prefix.
	kindConfigured SecretKind = "settings"
)

// The minimum and maximum length of a secret in the server's settings, in bytes.
const minConfiguredSecret, maxConfiguredSecret = 32, 256

// SecretPattern matches every secret that NewSecret returns.
var SecretPattern = regexp.MustCompile(secretform.Pattern())

// NewSecret returns a random secret and its hash.
func NewSecret(kind SecretKind) (secret string, hash []byte) {
	var random [secretform.RandomBytes]byte
	_, _ = rand.Read(random[:]) // never returns an error
	secret = string(kind) + base64.RawURLEncoding.EncodeToString(random[:])
	return secret, HashSecret(secret)
}

// HashSecret returns the hash under which the database stores a secret.
func HashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// secretKind returns the kind of a secret, or "" for text that cannot be a secret.
func secretKind(text string) SecretKind {
	switch {
	case len(text) == secretform.Length && SecretPattern.MatchString(text):
		return SecretKind(text[:len(secretform.Token)])
	case len(text) >= minConfiguredSecret && len(text) <= maxConfiguredSecret:
		return kindConfigured
	}
	return ""
}

// checkConfiguredSecret returns a *FieldError unless the secret of a setting has a valid length.
func checkConfiguredSecret(setting, secret string) error {
	if len(secret) < minConfiguredSecret || len(secret) > maxConfiguredSecret {
		return &FieldError{setting, fmt.Sprintf("must have %d to %d characters", minConfiguredSecret,
			maxConfiguredSecret)}
	}
	return nil
}
