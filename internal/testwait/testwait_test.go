package testwait_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testwait"
)

func TestUntilPausesBetweenChecks(t *testing.T) {
	begin, checks := time.Now(), 0
	testwait.Until(t, "the fifth check", func() bool {
		checks++
		return checks == 5
	})
	if elapsed := time.Since(begin); checks != 5 || elapsed < 75*time.Millisecond {
		t.Errorf("%d checks in %s, want 5 with pauses of 5, 10, 20 and 40 ms", checks, elapsed)
	}
}

func TestContextEndsBeforeTheTestBinary(t *testing.T) {
	ctx, cancel := testwait.Context(t)
	defer cancel()
	limit, limited := t.Deadline()
	deadline, set := ctx.Deadline()
	if set != limited || limited && limit.Sub(deadline) != 30*time.Second {
		t.Errorf("the context ends at %v, the test binary at %v", deadline, limit)
	}
}
