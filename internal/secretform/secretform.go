// Package secretform defines the form of the secrets that snapwatch creates. Package auth creates secrets in this form.
// The agent removes text of this form from command lines.
package secretform

import (
	"encoding/base64"
	"strings"
)

// The prefixes of secrets, by their purpose.
const (
	Session      = "sws_"
	Token        = "swt_"
	Agent        = "swa_"
	EnrolmentKey = "swe_"
	Setup        = "swl_"
	Device       = "swd_"
)

// Prefixes returns all prefixes. They have the same length.
func Prefixes() []string { return []string{Session, Token, Agent, EnrolmentKey, Setup, Device} }

// RandomBytes is the number of random bytes in a secret. 256 bits cannot be guessed, so an unsalted hash is enough to
// store it.
const RandomBytes = 32

// Length is the length of a secret, in bytes.
var Length = len(Session) + base64.RawURLEncoding.EncodedLen(RandomBytes)

// Pattern returns a regular expression that matches every secret.
func Pattern() string {
	return "(?:" + strings.Join(Prefixes(), "|") + ")[A-Za-z0-9_-]{43}"
}
