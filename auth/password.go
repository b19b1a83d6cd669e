package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	zxcvbn "github.com/ccojocar/zxcvbn-go"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// The length limits of passwords. NIST SP 800-63B-4 recommends length instead of composition rules, with 15 characters
// for passwords without a second factor. Because sign-ins are rate limited, 12 are required here.
const (
	minPassword = 12  // characters
	maxPassword = 256 // bytes
)

// maxConcurrentHashes limits the memory that hashing takes.
const maxConcurrentHashes = 2

// hasher hashes passwords with argon2id, at most maxConcurrentHashes at a time.
type hasher struct {
	params *argon2id.Params
	slots  chan struct{}
	// decoyHash is checked if there is no account, so that the response takes as long as for an account.
	decoyHash string
}

// DefaultPasswordParams returns the default argon2id parameters. They use 64 MiB, more than RFC 9106 and OWASP
// recommend, and take about 100 ms.
func DefaultPasswordParams() *argon2id.Params {
	return &argon2id.Params{Memory: 64 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// newHasher returns a hasher. Its decoy is random, which takes as long to check as a real hash and needs no hashing.
func newHasher(params *argon2id.Params) *hasher {
	random := make([]byte, params.SaltLength+params.KeyLength)
	_, _ = rand.Read(random) // never returns an error
	encode := base64.RawStdEncoding.EncodeToString
	decoy := fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, params.Memory, params.Iterations, params.Parallelism,
		encode(random[:params.SaltLength]), encode(random[params.SaltLength:]))
	return &hasher{params: params, slots: make(chan struct{}, maxConcurrentHashes), decoyHash: decoy}
}

// acquire waits for a slot until ctx ends, and then returns ErrBusy.
func (h *hasher) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ErrBusy
	}
}

func (h *hasher) release() { <-h.slots }

// hash returns the hash of a password in the PHC string format, which includes the parameters.
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

// check reports whether a password matches a hash. hash is nil for an account without a password, which nothing
// matches. outdated reports whether the hash was made with other parameters.
func (h *hasher) check(ctx context.Context, password string, hash *string) (match, outdated bool, err error) {
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

// checkPassword returns a *FieldError unless a new password of the user name is acceptable.
func checkPassword(field, password, name string) error {
	switch {
	case !utf8.ValidString(password):
		return &FieldError{field, "must be valid UTF-8"}
	case utf8.RuneCountInString(password) < minPassword:
		return &FieldError{field, fmt.Sprintf("must have at least %d characters", minPassword)}
	case len(password) > maxPassword:
		return &FieldError{field, fmt.Sprintf("must have at most %d bytes", maxPassword)}
	}
	names := nameParts(name)
	for _, part := range names {
		if len(part) >= minNamePart && strings.Contains(strings.ToLower(password), part) {
			return &FieldError{field, fmt.Sprintf("must not contain the user name or a part of it (%q)", part)}
		}
	}
	if isCommon(password, names) {
		return &FieldError{field, "must not be a common password, or consist of names, dates, repetitions and " +
			"neighbouring keys; several unrelated words are a good password"}
	}
	return nil
}

// minNamePart is the minimum length of a part of the user name that a password must not contain. Shorter parts occur in
// many words by chance.
const minNamePart = 4

// nameParts returns a user name and its parts, such as those of an email address, in lower case.
func nameParts(name string) []string {
	name = strings.ToLower(name)
	parts := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("._@+-", r) })
	return append([]string{name}, parts...)
}

const (
	// minStrength is the minimum strength of a password, as zxcvbn rates it from 0 to 4: about 10^8 guesses by somebody
	// who knows which passwords are common.
	minStrength = 2
	// ratedCharacters is how many characters of a password are rated. The time for it grows faster than the length: it
	// is at most about 0.1 s for these.
	ratedCharacters = 64
)

// isCommon reports whether a password is easy to guess: because it is on the lists of the most common passwords, words
// and names, or consists of such words, words of the given list, dates, sequences or patterns on a keyboard. Common
// replacements of letters, such as 0 for o, are no obstacle, and neither are separators and the shift key.
func isCommon(password string, words []string) bool {
	words = append(words, productWords...)
	for _, form := range forms(password) {
		if zxcvbn.PasswordStrength(form, words).Score < minStrength {
			return true
		}
	}
	return false
}

// productWords are words that are likely in passwords of this product, besides those of the lists.
var productWords = []string{"snapwatch", "postgres", "root", "admin", "correcthorsebatterystaple"}

// unshift maps the characters above the digits of a US keyboard to the digits.
var unshift = strings.NewReplacer(
	"!", "1", "@", "2", "#", "3", "$", "4", "%", "5", "^", "6", "&", "7", "*", "8", "(", "9", ")", "0",
)

// minForm is the minimum length of a form without separators that is rated. Without it, a password of many separators
// would be rated by the few other characters.
const minForm = 8

// forms returns the start of a password, and how it would be without separators and without the shift key. Somebody who
// guesses tries these as well.
func forms(password string) []string {
	cut := func(text string) string {
		characters := []rune(text)
		return string(characters[:min(len(characters), ratedCharacters)])
	}
	plain := norm.NFC.String(password)
	folded := strings.ToLower(norm.NFKC.String(password))
	joined := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || strings.ContainsRune(".-_", r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, folded)
	all := []string{cut(plain), cut(folded), cut(unshift.Replace(folded))}
	if len([]rune(joined)) >= minForm {
		all = append(all, cut(joined), cut(unshift.Replace(joined)))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
