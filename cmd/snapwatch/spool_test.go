//go:build linux

package main_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/store/storetest"
)

// recorded finds the instants that an agent's log says it has recorded.
var recorded = regexp.MustCompile(`msg=recorded timestamp=(\S+)`)

// wantAllStored wants every snapshot that an agent's log has to be stored; it returns how
// many there are.
func wantAllStored(t *testing.T, dir string, log *lockedBuffer) int {
	t.Helper()
	var instants []string
	for _, found := range recorded.FindAllStringSubmatch(log.String(), -1) {
		instants = append(instants, "'"+found[1]+"'")
	}
	var stored int
	row(t, dir, `SELECT count(*) FROM snapshots WHERE ts IN (`+strings.Join(instants, ",")+`)`, &stored)
	if stored != len(instants) {
		t.Errorf("%d snapshots were taken, %d of them are stored", len(instants), stored)
	}
	return len(instants)
}

// Agent and server are killed in random order: every snapshot that was taken is
// stored, once. SNAPWATCH_KILLS is for how long; a quarter of a minute by default.
func TestEverySnapshotSurvivesKills(t *testing.T) {
	t.Parallel()
	lasting := 15 * time.Second
	if text := os.Getenv("SNAPWATCH_KILLS"); text != "" {
		var err error
		if lasting, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	dir, state, listen := storetest.Dir(t), storetest.Dir(t), freeAddress(t)
	server := start(t, "serve", dir, listen)
	key, err := shell(t, dir, "", "key", "add", "one")
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	var agent *exec.Cmd
	run := func() {
		t.Helper()
		agent = exec.Command(
			filepath.Join(binaries, "snapwatch-agent"),
			"--server",
			"http://"+listen,
			"--state-dir",
			state,
			"--machine-id",
			"m",
			"--log-level",
			"debug",
		)
		agent.Env = append(os.Environ(), "SNAPWATCH_ENROLMENT_KEY="+key)
		agent.Stderr = log
		if err := agent.Start(); err != nil {
			t.Fatal(err)
		}
	}
	run()
	t.Cleanup(func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	})
	quick(t, server, "m")
	random := rand.New(rand.NewPCG(7, uint64(lasting)))
	kills := map[string]int{}
	for end := time.Now().Add(lasting); time.Now().Before(end); {
		before := len(recorded.FindAllString(log.String(), -1))
		until(
			t, "another snapshot or two",
			func() bool { return len(recorded.FindAllString(log.String(), -1)) > before+random.IntN(3) },
		)
		switch random.IntN(3) {
		case 0:
			_ = agent.Process.Kill()
			_ = agent.Wait()
			run()
			kills["agent"]++
		case 1:
			server.kill(t)
			server = start(t, "serve", dir, listen)
			kills["server"]++
		default: // both; the agent runs for a while before the server is back
			_ = agent.Process.Kill()
			_ = agent.Wait()
			server.kill(t)
			run()
			before := len(recorded.FindAllString(log.String(), -1))
			until(
				t, "a snapshot without a server",
				func() bool { return len(recorded.FindAllString(log.String(), -1)) > before },
			)
			server = start(t, "serve", dir, listen)
			kills["both"]++
		}
	}
	stored := func() (n int) {
		row(t, dir, `SELECT count(*) FROM snapshots`, &n)
		return n
	}
	taken := func() int { return len(recorded.FindAllString(log.String(), -1)) }
	until(t, "all that waits is sent", func() bool { return stored() >= taken() })
	if err := agent.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait()
	count := wantAllStored(t, dir, log)
	var twice int
	row(t, dir, `SELECT count(*) FROM (SELECT FROM process_samples GROUP BY ts, process HAVING count(*) > 1) x`, &twice)
	if twice != 0 {
		t.Errorf("%d samples are stored twice", twice)
	}
	t.Logf("%d snapshots, kills: %v", count, kills)
	if count < 10 || len(kills) == 0 {
		t.Error("too little happened")
	}
}
