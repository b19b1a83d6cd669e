package collect

import (
	"os/exec"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testwait"
)

// A process that lived for a moment between two samples has its start to 10 ms, and started before it ended.
func TestStartOfAShortLivedProcess(t *testing.T) { forEachReader(t, testStartOfAShortLivedProcess) }

func testStartOfAShortLivedProcess(t *testing.T, reader string) {
	r := record(t, reader)
	const tolerance = 10 * time.Millisecond
	child := exec.Command("true")
	before := time.Now()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	running := time.Now()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	ended := time.Now()
	testwait.Until(t, "the exit record", func() bool {
		for _, p := range r.sample().Exited {
			if p.PID != int32(child.Process.Pid) {
				continue
			}
			at := p.StartedAt.Std()
			early, late := at.Before(before.Add(-tolerance)), at.After(running.Add(tolerance))
			if early || late || at.After(ended) {
				t.Errorf("it started at %s, want from %s to %s", at, before, running)
			}
			return true
		}
		return false
	})
}
