//go:build linux

package main_test

import (
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/snapwatch/snapwatch/internal/testwait"
)

// recorded finds the timestamps of the snapshots that an agent has recorded, in its log.
var recorded = regexp.MustCompile(`msg=recorded timestamp=(\S+)`)

// agent is a running snapwatch-agent.
type agent struct {
	cmd *exec.Cmd
	log *logBuffer
}

// startAgent runs the agent with further arguments and environment variables.
func startAgent(t *testing.T, env []string, arguments ...string) *agent {
	t.Helper()
	return startAgentCommand(t, &logBuffer{}, env, append([]string{program("snapwatch-agent")}, arguments...))
}

// startAgentAfter runs the agent after a shell script that prepares its environment: as root of a
// mount namespace of its own.
func startAgentAfter(t *testing.T, script string, env []string, arguments ...string) *agent {
	t.Helper()
	command := []string{"unshare", "--mount"}
	if os.Geteuid() != 0 {
		command = append(command, "--user", "--map-root-user")
	}
	command = append(command, "sh", "-ec", script+"\nexec \"$@\"", "sh", program("snapwatch-agent"))
	return startAgentCommand(t, &logBuffer{}, env, append(command, arguments...))
}

func startAgentCommand(t *testing.T, log *logBuffer, env, command []string) *agent {
	t.Helper()
	a := &agent{cmd: exec.Command(command[0], append(command[1:], "--log-level", "debug")...), log: log}
	a.cmd.Env = append(os.Environ(), env...)
	a.cmd.Stderr = log
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.kill)
	return a
}

// stop ends the agent as a service manager does, and waits for its end.
func (a *agent) stop(t *testing.T) {
	t.Helper()
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = a.cmd.Wait()
}

func (a *agent) kill() {
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait()
}

// recorded returns how many snapshots are in the agent's log.
func (a *agent) recorded() int { return len(recorded.FindAllString(a.log.String(), -1)) }

// records waits until the agent has recorded more snapshots than before.
func (a *agent) records(t *testing.T, more int) {
	t.Helper()
	before := a.recorded()
	testwait.Until(t, "further snapshots to be recorded", func() bool { return a.recorded() >= before+more })
}

// wantAllStored reports snapshots that are in an agent's log and not in the database; it returns
// how many the log has.
func wantAllStored(t *testing.T, dir string, log *logBuffer) int {
	t.Helper()
	var instants []string
	for _, found := range recorded.FindAllStringSubmatch(log.String(), -1) {
		instants = append(instants, "'"+found[1]+"'")
	}
	var stored int
	queryRow(t, dir, `SELECT count(*) FROM snapshots WHERE ts IN (`+strings.Join(instants, ",")+`)`, &stored)
	if stored != len(instants) {
		t.Errorf("%d snapshots were recorded, %d of them are stored", len(instants), stored)
	}
	return len(instants)
}

// configure changes a machine's config, once the machine has reported.
func configure(t *testing.T, server *process, machineID, config string) {
	t.Helper()
	address := server.url + "/api/v1/machines/" + machineID
	testwait.Until(t, "the machine's first report", func() bool {
		return statusWith(t, server.token, address) == http.StatusOK
	})
	change, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, address, strings.NewReader(config))
	if err != nil {
		t.Fatal(err)
	}
	change.Header.Set("Content-Type", "application/json")
	response, err := client.Do(change)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("change the config: %s", response.Status)
	}
}

const (
	fast   = `{"polling_interval": 0.5}`
	paused = `{"enabled": false}`
)
