package auth

import (
	"strings"
	"testing"
)

// FuzzSecrets: any text that somebody shows is a secret of a known kind or none, and an
// attempt at an identity provider comes back as it was, or is none.
func FuzzSecrets(f *testing.F) {
	secret, _ := NewSecret(KindAgent)
	for _, seed := range []string{secret, "swt_", "", strings.Repeat("a", 256), "a.b.c", "a..c", "....", "\xff.\x00.b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if kind := secretKind(text); kind != "" && kind != kindConfigured && !SecretPattern.MatchString(text) {
			t.Errorf("%q is taken for %s", text, kind)
		}
		if len(HashSecret(text)) != 32 {
			t.Error("a hash has another length")
		}
		if attempt, ok := DecodeAuthRequest(text); ok && attempt.Encode() != text {
			t.Errorf("%q became %q", text, attempt.Encode())
		}
	})
}
