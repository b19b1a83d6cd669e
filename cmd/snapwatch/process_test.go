//go:build linux

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// poster posts a machine's series one snapshot at a time, each until it is
// acknowledged, to whatever server is up.
type poster struct {
	machineID  string
	series     []snapshot.Snapshot
	acked      atomic.Int64
	stored     atomic.Int64
	duplicates atomic.Int64
}

func (p *poster) run(ctx context.Context, url *atomic.Value) error {
	for i := range p.series {
		body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: p.machineID, Snapshots: p.series[i : i+1]})
		if err != nil {
			return err
		}
		for {
			ack, err := post(ctx, url.Load().(string), body)
			if err == nil {
				p.stored.Add(int64(ack.Stored))
				p.duplicates.Add(int64(ack.Duplicates))
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s, snapshot %d: %w", p.machineID, i, err)
			}
		}
		p.acked.Add(1)
	}
	return nil
}

func post(ctx context.Context, url string, body []byte) (ack snapshot.Ack, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/snapshots", bytes.NewReader(body))
	if err != nil {
		return ack, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return ack, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return ack, err
	}
	if response.StatusCode >= 300 {
		return ack, fmt.Errorf("%d %s", response.StatusCode, text)
	}
	return ack, json.Unmarshal(text, &ack)
}

// Under load the server is killed, then its database's postmaster, then both are
// stopped in order: every acknowledged snapshot is there, once, with exactly its
// samples.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	const machines, snapshots = 6, 150
	dir := storetest.Dir(t)
	p := start(t, "serve", dir, "127.0.0.1:0", "--request-rate", "100000")
	var url atomic.Value
	url.Store(p.url)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	posters := make([]*poster, machines)
	failures := make(chan error, machines)
	began := snapshot.TimeOf(time.Now().Add(-time.Hour).Truncate(time.Second))
	var truth [machines][][]snapshot.Process
	for i := range posters {
		series := snapshottest.NewMachine(uint64(i), 50).Series(began, snapshots, time.Second, 12)
		truth[i] = series.Truth
		posters[i] = &poster{machineID: fmt.Sprintf("m-%d", i), series: series.Snapshots}
		go func() { failures <- posters[i].run(ctx, &url) }()
	}
	total := func() (n int64) {
		for _, one := range posters {
			n += one.acked.Load()
		}
		return n
	}
	waitFor := func(n int64) {
		t.Helper()
		for total() < n {
			select {
			case <-ctx.Done():
				t.Fatalf("%d of %d acknowledged\n%s", total(), n, p.log)
			case <-time.After(time.Millisecond):
			}
		}
	}
	for round, end := range []func(){
		func() { p.kill(t) },
		func() { killPostmaster(t, dir); p.kill(t) },
		func() { p.stop(t) },
		func() { killPostmaster(t, dir); p.kill(t) },
	} {
		waitFor(int64((round + 1) * machines * snapshots / 5))
		end()
		acked := total()
		p = start(t, "serve", dir, "127.0.0.1:0", "--request-rate", "100000")
		if round == 0 {
			if !strings.Contains(p.log.String(), "taking over the running cluster") {
				t.Errorf("the cluster that outlived the server was not taken over:\n%s", p.log)
			}
		}
		var kept int64
		row(t, dir, `SELECT count(*) FROM snapshots`, &kept)
		if kept < acked {
			t.Fatalf("round %d: %d snapshots were acknowledged, %d are there", round, acked, kept)
		}
		url.Store(p.url)
	}
	for range posters {
		if err := <-failures; err != nil {
			t.Fatalf("%v\n%s", err, p.log)
		}
	}
	var stored, samples int64
	row(t, dir, `SELECT count(*) FROM snapshots`, &stored)
	row(t, dir, `SELECT count(*) FROM process_samples`, &samples)
	want, sent := int64(0), int64(0)
	for i, one := range posters {
		sent += int64(len(one.series))
		for k := range one.series {
			want += int64(len(one.series[k].Processes) + len(one.series[k].Exited))
		}
		var list struct {
			Processes []snapshot.Process `json:"processes"`
		}
		for k := 0; k < snapshots; k += 37 {
			get(t, p.url+"/api/v1/machines/"+one.machineID+"/at?time="+one.series[k].Timestamp.String(), &list)
			if diff := snapshottest.Diff(list.Processes, truth[i][k]); diff != "" {
				t.Errorf("%s at %s: %s", one.machineID, one.series[k].Timestamp, diff)
			}
			list.Processes = nil
		}
	}
	if stored != sent || samples != want {
		t.Errorf("%d snapshots and %d samples are stored, want %d and %d", stored, samples, sent, want)
	}
}

func killPostmaster(t *testing.T, dir string) {
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
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestUpRunsAnAgentAndEndsIt(t *testing.T) {
	t.Parallel()
	dir := storetest.Dir(t)
	p := start(t, "up", dir, "127.0.0.1:0")
	var machines struct {
		Results []struct {
			MachineID    string `json:"machine_id"`
			LastSnapshot string `json:"last_snapshot"`
		} `json:"results"`
	}
	seen := func() {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); len(machines.Results) == 0 || machines.Results[0].LastSnapshot == ""; {
			if time.Now().After(deadline) {
				t.Fatalf("no snapshot of this machine\n%s", p.log)
			}
			get(t, p.url+"/api/v1/machines", &machines)
		}
	}
	seen()
	id := machines.Results[0].MachineID
	if second, err := exec.Command(filepath.Join(binaries, "snapwatch"), "serve", "--data-dir", dir, "--listen", "127.0.0.1:0").CombinedOutput(); err == nil ||
		!strings.Contains(string(second), "one snapwatch a data directory") {
		t.Errorf("a second server on the directory: %v, %s", err, second)
	}
	if taken, err := exec.Command(filepath.Join(binaries, "snapwatch"), "serve", "--data-dir", storetest.Dir(t), "--listen", strings.TrimPrefix(p.url, "http://")).CombinedOutput(); err == nil ||
		!strings.Contains(string(taken), "--listen") {
		t.Errorf("a second server on the address: %v, %s", err, taken)
	}
	p.stop(t)
	if strings.Contains(p.log.String(), "level=WARN") || strings.Contains(p.log.String(), "level=ERROR") {
		t.Errorf("a plain run warned:\n%s", p.log)
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres", "postmaster.pid")); err == nil {
		t.Error("the database still runs")
	}
	p = start(t, "up", dir, "127.0.0.1:0")
	machines.Results = nil
	seen()
	if again := machines.Results[0].MachineID; again != id || len(machines.Results) != 1 {
		t.Errorf("the machine was %s and is %s now", id, again)
	}
	// A killed server takes its agent along.
	p.kill(t)
	for deadline := time.Now().Add(20 * time.Second); agentRuns(t, dir); {
		if time.Now().After(deadline) {
			t.Fatal("the agent outlived its server")
		}
	}
	start(t, "serve", dir, "127.0.0.1:0") // to end the cluster in order
}

// agentRuns reports whether an agent reports into the directory: /proc knows.
func agentRuns(t *testing.T, dir string) bool {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		text, _ := os.ReadFile(line)
		if bytes.Contains(text, []byte("snapwatch-agent")) && bytes.Contains(text, []byte(dir)) {
			return true
		}
	}
	return false
}

// Ctrl-C sends every live view a close frame that says to come back.
func TestStopClosesSockets(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", storetest.Dir(t), "127.0.0.1:0")
	socket, _, err := websocket.Dial(
		t.Context(), strings.Replace(p.url, "http", "ws", 1)+"/api/v1/live",
		&websocket.DialOptions{HTTPClient: client},
	)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	// An answer says that the socket is served: the upgrade alone does not.
	if err := socket.Write(t.Context(), websocket.MessageText, []byte(`{"action":"subscribe","machine_id":"nowhere"}`)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := socket.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { _, _, err := socket.Read(context.WithoutCancel(t.Context())); ended <- err }()
	p.stop(t)
	if status := websocket.CloseStatus(<-ended); status != websocket.StatusGoingAway {
		t.Errorf("the socket ended with %v", status)
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for name, arguments := range map[string][]string{
		"no such command":   {"dance"},
		"bad duration":      {"serve", "--retention", "long"},
		"bad level":         {"serve", "--log-level", "loud"},
		"unreachable":       {"serve", "--listen", "127.0.0.1:0", "--database-url", "postgres://snapwatch:s3cret@127.0.0.1:1/x"},
		"no cluster there":  {"database-url", "--data-dir", "/nonexistent"},
		"not sure":          {"migrate", "down"},
		"no server program": {"serve", "--listen", "127.0.0.1:0", "--postgres-bin", "/nonexistent", "--data-dir", storetest.Dir(t)},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(filepath.Join(binaries, "snapwatch"), arguments...)
			cmd.Env = append(os.Environ(), "DATABASE_URL=")
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Errorf("it was accepted: %s", out)
			}
			if strings.Contains(string(out), "s3cret") || strings.Contains(string(out), "panic") {
				t.Errorf("it says %s", out)
			}
		})
	}
}
