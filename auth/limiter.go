package auth

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Limiter holds a token bucket for each of many keys, of the newest of them: its
// memory is bounded.
type Limiter struct {
	rate  rate.Limit
	burst int

	mu      sync.Mutex
	buckets *simplelru.LRU[string, *rate.Limiter]
}

// limiterKeys bounds the keys that a limiter knows, at about 200 bytes each.
const limiterSize = 20_000

// NewLimiter lets each key act perSecond times a second on average, and burst times
// at once.
func NewLimiter(perSecond float64, burst int) *Limiter {
	buckets, err := simplelru.NewLRU[string, *rate.Limiter](limiterSize, nil)
	if err != nil { // only of a size that is not positive
		panic(err)
	}
	return &Limiter{rate: rate.Limit(perSecond), burst: burst, buckets: buckets}
}

// Take lets a key act, or tells how long it must wait.
func (l *Limiter) Take(key string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, known := l.buckets.Get(key)
	if !known {
		bucket = rate.NewLimiter(l.rate, l.burst)
		l.buckets.Add(key, bucket)
	}
	reservation := bucket.ReserveN(now, 1)
	if wait = reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
	}
	return wait
}

// Exhausted tells how long a key must wait, without acting; 0 if it may act.
func (l *Limiter) Wait(key string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, known := l.buckets.Get(key)
	if !known {
		return 0
	}
	if missing := 1 - bucket.TokensAt(now); missing > 0 {
		return time.Duration(missing / float64(l.rate) * float64(time.Second))
	}
	return 0
}
