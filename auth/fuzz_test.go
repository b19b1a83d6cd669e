package auth

import (
	"strings"
	"testing"
)

// FuzzSecrets checks that secretKind classifies any text, and that DecodeAuthRequest refuses a text or reverses Encode.
func FuzzSecrets(f *testing.F) {
	secret, _ := NewSecret(KindAgent)
	for _, seed := range []string{
		secret, "swt_", "", strings.Repeat("a", 256), "a.b.c", "a..c", "....", "\xff.\x00.b",
	} {
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
