package auth

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// allKeysRate and allKeysBurst limit the invalid enrolment keys of all addresses together.
	allKeysRate, allKeysBurst = 200, 2000
	// knownKeys is the maximum number of valid keys that are remembered.
	knownKeys = 1000
	// keyLifetime is how long a key is remembered after it was last accepted.
	keyLifetime = time.Hour
	// allAddresses is the key of the limit for all addresses.
	allAddresses = "all"
)

// keyLimit limits attempts with invalid enrolment keys, by address and for all addresses together. It remembers the
// keys that were valid lately: the limits do not apply to these, so nobody can keep a fleet from enrolling. It is safe
// for concurrent use.
type keyLimit struct {
	perAddress, total *Limiter

	mu    sync.Mutex
	known *simplelru.LRU[string, time.Time] // by hash of the key: when it was accepted
}

func newKeyLimit() *keyLimit {
	known, err := simplelru.NewLRU[string, time.Time](knownKeys, nil)
	if err != nil { // simplelru refuses only sizes below 1
		panic(err)
	}
	return &keyLimit{
		perAddress: NewLimiter(badCredentialRate, badCredentialBurst),
		total:      NewLimiter(allKeysRate, allKeysBurst),
		known:      known,
	}
}

// isKnown reports whether a key was valid lately.
func (l *keyLimit) isKnown(hash []byte, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	acceptedAt, found := l.known.Get(string(hash))
	return found && now.Sub(acceptedAt) < keyLifetime
}

// wait returns how long an address must wait before it may try a key that is not known.
func (l *keyLimit) wait(address string, now time.Time) time.Duration {
	return max(l.perAddress.Wait(address, now), l.total.Wait(allAddresses, now))
}

// accepted remembers a valid key.
func (l *keyLimit) accepted(hash []byte, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known.Add(string(hash), now)
}

// refused counts an invalid key, which is no longer known.
func (l *keyLimit) refused(hash []byte, address string, now time.Time) {
	l.mu.Lock()
	l.known.Remove(string(hash))
	l.mu.Unlock()
	l.perAddress.Take(address, now)
	l.total.Take(allAddresses, now)
}
