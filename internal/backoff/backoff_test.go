package backoff_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/backoff"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := backoff.Backoff{Min: 100 * time.Millisecond, Max: 500 * time.Millisecond}
	for range 2 {
		for i, bound := range []time.Duration{100, 200, 400, 500, 500} {
			bound *= time.Millisecond
			if delay := b.Next(); delay < bound/2 || delay >= bound {
				t.Errorf("delay %d is %s, want at least %s and less than %s", i, delay, bound/2, bound)
			}
		}
		b.Reset()
	}
}
