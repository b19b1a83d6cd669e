// Package backoff computes the delays between attempts: exponential, bounded, with jitter.
package backoff

import (
	"math/rand/v2"
	"time"
)

// Backoff returns growing delays. It is not safe for concurrent use.
type Backoff struct {
	// Min is the upper bound of the first delay, and Max that of all delays.
	Min, Max time.Duration

	current time.Duration
}

// Next returns the next delay. It is random between half of the current bound and the bound, so that clients
// that fail together do not retry together. The bound doubles with each call, up to Max.
func (b *Backoff) Next() time.Duration {
	b.current = min(max(2*b.current, b.Min), b.Max)
	return b.current/2 + rand.N(b.current/2)
}

// Reset makes the next delay the first again. Call it after a success.
func (b *Backoff) Reset() { b.current = 0 }
