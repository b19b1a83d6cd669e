package auth

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Limiter is a set of token buckets, one per key. It keeps the most recently used keys, so its memory is
// bounded. It is safe for concurrent use.
type Limiter struct {
	rate  rate.Limit
	burst int

	mu      sync.Mutex
	buckets *simplelru.LRU[string, *rate.Limiter]
}

// limiterSize is the maximum number of keys of a Limiter. A key takes about 200 bytes.
const limiterSize = 20_000

// NewLimiter returns a Limiter that allows each key perSecond requests per second on average and bursts of up to
// burst requests.
func NewLimiter(perSecond float64, burst int) *Limiter {
	buckets, err := simplelru.NewLRU[string, *rate.Limiter](limiterSize, nil)
	if err != nil { // simplelru refuses only sizes below 1
		panic(err)
	}
	return &Limiter{rate: rate.Limit(perSecond), burst: burst, buckets: buckets}
}

// Take consumes a token of the key and returns 0. If the key has no token left, Take consumes nothing and returns
// how long the key must wait.
func (l *Limiter) Take(key string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, found := l.buckets.Get(key)
	if !found {
		bucket = rate.NewLimiter(l.rate, l.burst)
		l.buckets.Add(key, bucket)
	}
	reservation := bucket.ReserveN(now, 1)
	if wait = reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
	}
	return wait
}

// Wait returns how long the key must wait before its next request, without consuming a token. It returns 0 if the
// request may proceed.
func (l *Limiter) Wait(key string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, found := l.buckets.Get(key)
	if !found {
		return 0
	}
	if missing := 1 - bucket.TokensAt(now); missing > 0 {
		return time.Duration(missing / float64(l.rate) * float64(time.Second))
	}
	return 0
}
