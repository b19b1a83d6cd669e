//go:build linux

package main_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// An agent enrols and rotates its token when that is old. When the token is revoked, the agent logs
// why it is refused and goes on recording, until a new enrolment key lets it in again.
func TestAgentToken(t *testing.T) {
	t.Parallel()
	dir, state := dataDir(t), storetest.Dir(t)
	p := start(t, "serve", dir, "127.0.0.1:0")
	run := func(key string) *agent {
		t.Helper()
		return startAgent(
			t, []string{"SNAPWATCH_ENROLMENT_KEY=" + key},
			"--server", p.url, "--state-dir", state, "--machine-id", "m",
		)
	}
	token := func() string {
		text, err := os.ReadFile(filepath.Join(state, "token"))
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
	status := func(token string) int { return statusWith(t, token, p.url+"/api/v1/machines/m/config") }

	agent := run(enrolmentKey(t, dir, "one"))
	testwait.Until(t, "the agent to enrol", func() bool { return token() != "" })
	first := token()
	testwait.Until(t, "the machine's first report", func() bool { return status(first) == http.StatusOK })
	agent.stop(t)
	old := time.Now().AddDate(0, 0, -31)
	if err := os.Chtimes(filepath.Join(state, "token"), old, old); err != nil {
		t.Fatal(err)
	}

	agent = run("")
	testwait.Until(t, "the token to be rotated", func() bool { return token() != first })
	testwait.Until(t, "the first token to end", func() bool { return status(first) == http.StatusUnauthorized })
	second := token()
	agent.stop(t)
	if status(second) != http.StatusOK {
		t.Error("the rotated token is refused")
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

	agent = run("")
	agent.log.contains(t, "rejected this agent's token", "enrolment key")
	agent.records(t, 1)
	waits := regexp.MustCompile(`level=WARN .* wait=(\S+) .*enrolment key`).FindAllStringSubmatch(agent.log.String(), -1)
	if len(waits) == 0 {
		t.Error("the agent does not log when it will retry")
	}
	for _, match := range waits {
		if wait, err := time.ParseDuration(match[1]); err != nil || wait < 30*time.Second {
			t.Errorf("the agent retries %s after it was refused (%v)", match[1], err)
		}
	}
	agent.stop(t)
	agent = run(enrolmentKey(t, dir, "again"))
	testwait.Until(t, "a new enrolment key to let the agent in again", func() bool {
		return token() != second && status(token()) == http.StatusOK
	})
	agent.stop(t)
}
