//go:build linux

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testport"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// retryPause keeps the posters from flooding a server that is down.
const retryPause = 10 * time.Millisecond

// poster posts a machine's snapshots one at a time, each until it is acknowledged, to the server
// that runs at the time.
type poster struct {
	machineID string
	series    []snapshot.Snapshot
	acked     *atomic.Int64   // of all posters
	acks      chan<- struct{} // receives after each acknowledgement
}

func (p *poster) run(ctx context.Context, url *atomic.Value) error {
	for i := range p.series {
		body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: p.machineID, Snapshots: p.series[i : i+1]})
		if err != nil {
			return err
		}
		for {
			err := post(ctx, url.Load().(string), body)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s, snapshot %d: %w", p.machineID, i, err)
			case <-time.After(retryPause):
			}
		}
		p.acked.Add(1)
		p.acks <- struct{}{}
	}
	return nil
}

func post(ctx context.Context, url string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/snapshots", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%d %s", response.StatusCode, text)
	}
	var ack snapshot.Ack
	return json.Unmarshal(text, &ack)
}

// Under load the server is killed, then its database's postmaster, then both are stopped in order.
// Every acknowledged snapshot is stored once, with exactly its samples.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	const machines, snapshots = 6, 150
	dir := dataDir(t)
	p := start(t, "serve", dir, "127.0.0.1:0", "--request-rate", "100000")
	var url atomic.Value
	url.Store(p.url)
	ctx, cancel := testwait.Context(t)
	defer cancel()
	var acked atomic.Int64
	acks := make(chan struct{}, machines*snapshots)
	posters := make([]*poster, machines)
	failures := make(chan error, machines)
	// The server stores the first snapshot of each hour in full, so the series must not cross a full hour.
	began := storetest.Recent()
	var expected [machines][][]snapshot.Process
	for i := range posters {
		series := snapshottest.NewMachine(uint64(i), 50).Series(began, snapshots, time.Second, 12)
		expected[i] = series.Expected
		posters[i] = &poster{machineID: fmt.Sprintf("m-%d", i), series: series.Snapshots, acked: &acked, acks: acks}
		go func() { failures <- posters[i].run(ctx, &url) }()
	}
	waitForAcks := func(n int) {
		t.Helper()
		for range n {
			select {
			case <-acks:
			case <-ctx.Done():
				t.Fatalf("%d of %d snapshots were acknowledged\n%s", acked.Load(), machines*snapshots, p.log)
			}
		}
	}
	for round, end := range []func(){
		func() { p.kill(t) },
		func() { killPostmaster(t, dir); p.kill(t) },
		func() { p.stop(t) },
		func() { killPostmaster(t, dir); p.kill(t) },
	} {
		waitForAcks(machines * snapshots / 5)
		end()
		before := acked.Load()
		p = start(t, "serve", dir, "127.0.0.1:0", "--request-rate", "100000")
		if round == 0 {
			if !strings.Contains(p.log.String(), "taking over the running cluster") {
				t.Errorf("the cluster that outlived the server was not taken over:\n%s", p.log)
			}
		}
		if stored := storedSnapshots(t, dir); int64(stored) < before {
			t.Fatalf("round %d: %d snapshots were acknowledged, %d are stored", round, before, stored)
		}
		url.Store(p.url)
	}
	for range posters {
		if err := <-failures; err != nil {
			t.Fatalf("%v\n%s", err, p.log)
		}
	}
	stored, samples, twice := storedSnapshots(t, dir), 0, 0
	queryRow(t, dir, `SELECT count(*) FROM process_samples`, &samples)
	queryRow(t, dir, `SELECT count(*) - count(DISTINCT (machine, process, ts)) FROM process_samples`, &twice)
	want, sent := 0, 0
	for i, one := range posters {
		sent += len(one.series)
		for k := range one.series {
			want += len(one.series[k].Processes) + len(one.series[k].Exited)
		}
		var list struct {
			Processes []snapshot.Process `json:"processes"`
		}
		for k := 0; k < snapshots; k += 37 {
			get(t, p.url+"/api/v1/machines/"+one.machineID+"/at?time="+one.series[k].Timestamp.String(), &list)
			if diff := snapshottest.Diff(list.Processes, expected[i][k]); diff != "" {
				t.Errorf("%s at %s: %s", one.machineID, one.series[k].Timestamp, diff)
			}
			list.Processes = nil
		}
	}
	// Samples that close a snapshot are stored in addition.
	if stored != sent || samples < want || twice != 0 {
		t.Errorf("%d snapshots and %d samples are stored, %d of them twice; want %d and at least %d",
			stored, samples, twice, sent, want)
	}
}

func killPostmaster(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Kill(postmaster(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// postmaster returns the process id of the private database.
func postmaster(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// Agent and server are killed in random order: every snapshot that was recorded is stored once.
// SNAPWATCH_KILLS sets the number of rounds; there are ten by default.
func TestEverySnapshotSurvivesKills(t *testing.T) {
	t.Parallel()
	rounds := 10
	if text := os.Getenv("SNAPWATCH_KILLS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	dir, state, listen := dataDir(t), storetest.Dir(t), testport.FreeAddress(t)
	server := start(t, "serve", dir, listen)
	log := &logBuffer{} // of all agents, one after the other
	env := []string{"SNAPWATCH_ENROLMENT_KEY=" + enrolmentKey(t, dir, "one")}
	run := func() *agent {
		t.Helper()
		return startAgentCommand(t, log, env, []string{
			program("snapwatch-agent"), "--server", "http://" + listen, "--state-dir", state, "--machine-id", "m",
		})
	}
	agent := run()
	configure(t, server, "m", fast)
	random := rand.New(rand.NewPCG(7, uint64(rounds)))
	kills := map[string]int{}
	for range rounds {
		agent.records(t, 1+random.IntN(3))
		switch random.IntN(3) {
		case 0:
			agent.kill()
			agent = run()
			kills["agent"]++
		case 1:
			server.kill(t)
			server = start(t, "serve", dir, listen)
			kills["server"]++
		default: // both; the new agent records before the server is back
			agent.kill()
			server.kill(t)
			agent = run()
			agent.records(t, 1)
			server = start(t, "serve", dir, listen)
			kills["both"]++
		}
	}
	// An agent that is paused records nothing, and a restarted one is still paused. So all that was
	// ever recorded is in the log when the second one sends what the first one left.
	configure(t, server, "m", paused)
	log.contains(t, "enabled=false")
	agent.stop(t)
	agent = run()
	testwait.Until(t, "all recorded snapshots to be stored", func() bool {
		return storedSnapshots(t, dir) >= agent.recorded()
	})
	agent.stop(t)
	count := wantAllStored(t, dir, log)
	var twice int
	queryRow(
		t, dir, `SELECT count(*) FROM (SELECT FROM process_samples GROUP BY ts, process HAVING count(*) > 1) x`, &twice,
	)
	if twice != 0 {
		t.Errorf("%d samples are stored twice", twice)
	}
	t.Logf("%d snapshots, kills: %v", count, kills)
	if count < 10 || len(kills) == 0 {
		t.Error("too few snapshots or kills")
	}
}
