package backend

import (
	"testing"
	"time"
)

func TestFitInterval(t *testing.T) {
	for _, test := range []struct {
		bytes int64
		age   time.Duration
		limit int64
		want  time.Duration
	}{
		{1 << 20, time.Hour, 1 << 30, 24 * time.Hour},
		{1 << 30, 12 * time.Hour, 1 << 30, 12 * time.Hour},
		{1 << 30, time.Hour, 4 << 30, 3 * time.Hour},
		{100 << 30, time.Hour, 1 << 30, time.Hour},
	} {
		if got := fitInterval(test.bytes, test.age, test.limit); got != test.want {
			t.Errorf("%d in %s below %d: %s, want %s", test.bytes, test.age, test.limit, got, test.want)
		}
	}
}
