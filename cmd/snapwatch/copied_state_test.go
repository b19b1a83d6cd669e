//go:build linux

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/internal/testwait"
)

// A state directory is copied to a machine with another host name. Both agents, doctor, the server's log, its metrics
// and the machine say so.
func TestCopiedStateDirectory(t *testing.T) {
	unshare := []string{"unshare", "--uts"}
	if os.Geteuid() != 0 {
		unshare = append(unshare, "--user", "--map-root-user")
	}
	probe := slices.Concat(unshare, []string{"true"})
	if out, err := exec.Command(probe[0], probe[1:]...).CombinedOutput(); err != nil {
		t.Skipf("this machine allows no namespace for host names: %s", out)
	}
	dir := dataDir(t)
	server := start(t, "serve", dir, "127.0.0.1:0")
	key := enrolmentKey(t, dir, "fleet")
	original, copied := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	env := func(state string) []string {
		return []string{
			"SNAPWATCH_SERVER=" + server.url, "SNAPWATCH_STATE_DIR=" + state, "SNAPWATCH_ENROLMENT_KEY=" + key,
			"SNAPWATCH_MACHINE_ID=image",
		}
	}
	run := func(host, state string) *agent {
		t.Helper()
		const script = `echo "$0" > /proc/sys/kernel/hostname; exec "$@"`
		command := slices.Concat(unshare, []string{"sh", "-ec", script, host, program("snapwatch-agent"), "run"})
		return startAgentCommand(t, &logBuffer{}, env(state), command)
	}
	first := run("web-1", original)
	configure(t, server, "image", `{"polling_interval":0.5}`)
	first.stop(t)
	if err := os.CopyFS(copied, os.DirFS(original)); err != nil {
		t.Fatal(err)
	}
	agents := []*agent{run("web-1", original), run("web-2", copied)}
	const warning = "several agents report as this machine"
	for i, one := range agents {
		testwait.Until(t, fmt.Sprintf("agent %d to log a warning", i), func() bool {
			log := one.log.String()
			return strings.Contains(log, warning) && strings.Contains(log, `hosts="[web-1 web-2]"`)
		})
	}
	server.log.contains(t, "several agents report as one machine in turns", "machine_id=image", `hosts="[web-1 web-2]"`)
	var machine struct {
		CompetingAgents struct {
			Agents []struct{ Hostname, Name string }
		} `json:"competing_agents"`
	}
	get(t, server.url+"/api/v1/machines/image", &machine)
	list := machine.CompetingAgents.Agents
	if len(list) != 2 || list[0].Hostname != "web-1" || list[1].Hostname != "web-2" {
		t.Errorf("the machine has the agents %+v", list)
	}
	_, metrics := fetch(t, server.url+"/metrics")
	if !strings.Contains(metrics, "\nsnapwatch_machines_competing_agents 1\n") {
		t.Error("the server has no metric of it")
	}
	doctor := exec.Command(program("snapwatch-agent"), "doctor")
	doctor.Env = append(os.Environ(), env(copied)...)
	out, err := doctor.CombinedOutput()
	for _, text := range []string{
		"several agents report as this machine in turns: web-1, web-2", "empty " + copied, "enrolment key",
	} {
		if err == nil || !strings.Contains(string(out), text) {
			t.Errorf("doctor (%v) lacks %q:\n%s", err, text, out)
		}
	}
}
