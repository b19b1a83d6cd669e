package logthrottle_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/snapwatch/snapwatch/internal/logthrottle"
)

// buffer is a bytes.Buffer that several goroutines use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// take returns and removes what was logged, without the times.
func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines strings.Builder
	for line := range strings.Lines(b.b.String()) {
		_, rest, _ := strings.Cut(line, " ")
		lines.WriteString(rest)
	}
	b.b.Reset()
	return lines.String()
}

func TestRepeatedFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &buffer{}
		logger := slog.New(logthrottle.New(slog.NewTextHandler(out, nil)))
		for i := range 1000 {
			logger.With("part", "a").Error("failed", "n", i)
		}
		logger.Warn("other")
		for i := range 2 {
			logger.Info("fine", "n", i)
		}
		want := "level=ERROR msg=failed part=a n=0\nlevel=WARN msg=other\n" +
			"level=INFO msg=fine n=0\nlevel=INFO msg=fine n=1\n"
		if got := out.take(); got != want {
			t.Errorf("at once:\n%s", got)
		}
		time.Sleep(time.Second) // of the bubble's clock
		synctest.Wait()
		if got := out.take(); got != "level=ERROR msg=failed part=a n=999 repeated=999\n" {
			t.Errorf("after a second:\n%s", got)
		}
		logger.Error("failed", "n", -1)
		if got := out.take(); got != "" {
			t.Errorf("twice within a second:\n%s", got)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := out.take(); got != "level=ERROR msg=failed n=-1 repeated=1\n" {
			t.Errorf("after another second:\n%s", got)
		}
		logger.Error("failed", "n", -2)
		if got := out.take(); got != "level=ERROR msg=failed n=-2\n" {
			t.Errorf("after a pause:\n%s", got)
		}
		time.Sleep(3 * time.Second)
	})
}

// The number of messages that are counted is bounded. Further ones are logged.
func TestManyMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &buffer{}
		logger := slog.New(logthrottle.New(slog.NewTextHandler(out, nil)))
		for i := range 1100 {
			logger.Error(fmt.Sprintf("m%d", i))
			logger.Error(fmt.Sprintf("m%d", i))
		}
		if got := strings.Count(out.take(), "\n"); got != 1000+2*100 {
			t.Errorf("%d lines", got)
		}
		time.Sleep(3 * time.Second)
	})
}
