//go:build linux

package main_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/store/storetest"
)

// A real agent enrols, rotates its token when that is old, and says what is the matter
// when it is revoked; what it has seen meanwhile is sent once it is let in again.
func TestAgentToken(t *testing.T) {
	t.Parallel()
	dir, state := storetest.Dir(t), storetest.Dir(t)
	p := start(t, "serve", dir, "127.0.0.1:0")
	key, err := shell(t, dir, "", "key", "add", "one")
	if err != nil {
		t.Fatal(err)
	}
	run := func(secret string) (*lockedBuffer, func()) {
		t.Helper()
		cmd := exec.CommandContext(
			t.Context(), filepath.Join(binaries, "snapwatch-agent"), "--server", p.url, "--state-dir", state,
			"--machine-id", "m", "--log-level", "debug",
		)
		cmd.Env = append(os.Environ(), "SNAPWATCH_ENROLMENT_KEY="+secret)
		log := &lockedBuffer{}
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		end := func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return log, end
	}
	kept := func() string {
		text, err := os.ReadFile(filepath.Join(state, "token"))
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
	status := func(token string) int { return statusWith(t, token, p.url+"/api/v1/machines/m/config") }
	_, end := run(key)
	until(t, "the agent has enrolled", func() bool { return kept() != "" })
	first := kept()
	until(t, "its machine is there", func() bool { return status(first) == http.StatusOK })
	end()
	old := time.Now().AddDate(0, 0, -31)
	if err := os.Chtimes(filepath.Join(state, "token"), old, old); err != nil {
		t.Fatal(err)
	}
	_, end = run("")
	until(t, "the token is rotated", func() bool { return kept() != first })
	until(
		t, "the new one is used, and the old one ends",
		func() bool { return status(first) == http.StatusUnauthorized },
	)
	second := kept()
	end()
	if status(second) != http.StatusOK {
		t.Error("the rotated token does not count")
	}
	list, err := shell(t, dir, "", "token", "list", "--machine-id", "m")
	if err != nil || strings.Count(list, "\n") != 1 {
		t.Fatalf("%s (%v)", list, err)
	}
	var id int
	if _, err := fmt.Sscan(strings.Split(list, "\n")[1], &id); err != nil {
		t.Fatal(err)
	}
	if _, err := shell(t, dir, "", "token", "revoke", fmt.Sprint(id)); err != nil {
		t.Fatal(err)
	}
	log, end := run("")
	until(t, "the agent says that it is not let in", func() bool {
		return strings.Contains(log.String(), "does not know this agent's token") &&
			strings.Contains(log.String(), "enrolment key")
	})
	before := len(recorded.FindAllString(log.String(), -1))
	until(t, "it goes on recording", func() bool { return len(recorded.FindAllString(log.String(), -1)) > before })
	if n := strings.Count(log.String(), "does not take our snapshots"); n > 1 {
		t.Errorf("it has knocked %d times in a few seconds", n)
	}
	end()
	fresh, err := shell(t, dir, "", "key", "add", "again")
	if err != nil {
		t.Fatal(err)
	}
	_, end = run(fresh)
	until(t, "a new key lets it in again", func() bool { return kept() != second && status(kept()) == http.StatusOK })
	end()
}
