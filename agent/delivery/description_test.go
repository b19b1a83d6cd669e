package delivery

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

// A machine whose host name has changed registers again before its next post, which has the new name.
func TestChangedHostnameIsRegistered(t *testing.T) {
	t.Parallel()
	var sources []snapshot.Source
	record := func(_ http.ResponseWriter, batch *snapshot.Batch) bool {
		sources = append(sources, batch.Source)
		return false
	}
	server := &scriptedServer{script: []scriptStep{record, record, record, record}}
	s, _ := newTestSender(t, senderSettings{server: server.start(t), token: "token"})
	machine := s.machine
	s.source = snapshot.Source{RunID: "run", BootID: "boot"}
	s.describe = func(context.Context) snapshot.Machine { return machine }
	step := func(registrations int) {
		t.Helper()
		if _, err := s.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if server.registrations != registrations {
			t.Errorf("%d registrations, want %d", server.registrations, registrations)
		}
	}
	step(1)
	step(1)
	machine.Hostname = "renamed"
	step(2)
	machine.OwnProcessesOnly = true
	step(3)
	for i, want := range []string{"host", "host", "renamed", "renamed"} {
		if sources[i] != (snapshot.Source{RunID: "run", BootID: "boot", Hostname: want}) {
			t.Errorf("post %d has the source %+v, want the host name %s", i, sources[i], want)
		}
	}
}

// An agent logs once that others report as its machine, and once that they no longer do.
func TestCompetingAgentsAreLogged(t *testing.T) {
	t.Parallel()
	answer := func(fields string) scriptStep {
		return func(w http.ResponseWriter, _ *snapshot.Batch) bool {
			_, _ = io.WriteString(w, strings.TrimSuffix(acknowledged, "}")+fields+"}")
			return true
		}
	}
	two := answer(`,"competing_agents":["web-1","web-2"]`)
	server := &scriptedServer{script: []scriptStep{answer(""), two, two, answer(""), answer("")}}
	var log strings.Builder
	s, _ := newTestSender(t, senderSettings{
		server: server.start(t), token: "token", logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 5 {
		if _, err := s.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{`hosts="[web-1 web-2]"`, "empty its state directory", "no other agent reports"} {
		if n := strings.Count(log.String(), text); n != 1 {
			t.Errorf("%q was logged %d times:\n%s", text, n, &log)
		}
	}
}
