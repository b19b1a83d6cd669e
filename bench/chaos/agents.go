//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/snapwatch/snapwatch/bench/product"
	"github.com/snapwatch/snapwatch/internal/backoff"
	"github.com/snapwatch/snapwatch/internal/bearer"
	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	fullEvery   = 20 // snapshots of a machine
	postTimeout = 15 * time.Second
	// minBackoff and maxBackoff limit the pause after a post that failed. The real agent waits longer. A shorter pause
	// loads a server that recovers with more posts.
	minBackoff, maxBackoff = 250 * time.Millisecond, 2 * time.Second
	// probeTimeout is the timeout of a post of the probe, which then tries the next snapshot.
	probeTimeout = 3 * time.Second
)

// fleet is the simulated machines.
type fleet struct {
	links    []*link
	token    string
	interval time.Duration
	agents   []*agent // the last one is the probe
	probe    *agent

	mu       sync.Mutex
	statuses map[int]int // responses by status, 0 for none
	faults   []string    // responses that no agent should get
}

// agent is a simulated machine. It is one of the fleet's goroutines; others read only the atomic fields.
type agent struct {
	fleet     *fleet
	id        string
	seed      uint64
	processes int
	client    *http.Client
	link      int // index of the link that it uses

	sent  []instant
	acked atomic.Int64 // timestamp of the newest acknowledged snapshot
}

func newFleet(links []*link, token string, s settings, seed uint64) *fleet {
	f := &fleet{links: links, token: token, interval: s.interval, statuses: make(map[int]int)}
	for i := range s.agents + 1 {
		a := &agent{
			fleet: f, id: fmt.Sprintf("machine-%03d", i), seed: seed + uint64(i), processes: s.processes,
			client: &http.Client{
				Timeout: postTimeout, Transport: bearer.Transport{Token: token, Next: &http.Transport{}},
			},
			link: i % len(links),
		}
		f.agents = append(f.agents, a)
	}
	f.probe = f.agents[s.agents]
	f.probe.id, f.probe.client.Timeout = "probe", probeTimeout
	return f
}

// run lets the agents post until loading ends. Then each delivers its last snapshot, or ctx ends.
func (f *fleet) run(ctx, loading context.Context) {
	var running sync.WaitGroup
	for _, a := range f.agents {
		running.Go(func() { a.run(ctx, loading) })
	}
	running.Wait()
}

func (a *agent) run(ctx, loading context.Context) {
	compressor, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		a.fleet.fault(err.Error())
		return
	}
	stream := newStream(a.seed, a.processes)
	probe := a == a.fleet.probe
	full := true
	for n := 0; loading.Err() == nil; n++ {
		i := instant{at: max(snapshot.TimeOf(time.Now()), stream.previous+1), full: full || probe || n%fullEvery == 0}
		one, _ := stream.next(i)
		body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: a.id, Snapshots: []snapshot.Snapshot{one}})
		if err != nil {
			a.fleet.fault(err.Error())
			return
		}
		if probe {
			i.stored, _ = a.post(ctx, compressor.EncodeAll(body, nil))
		} else {
			i.stored = a.deliver(ctx, compressor.EncodeAll(body, nil))
		}
		a.sent = append(a.sent, i)
		if i.stored == acknowledged {
			a.acked.Store(int64(i.at))
		}
		full = i.stored != acknowledged // the server cannot continue from a snapshot that it does not have
		_ = product.Pause(loading, a.fleet.interval)
	}
}

// deliver posts a snapshot until the server accepts or refuses it.
func (a *agent) deliver(ctx context.Context, body []byte) outcome {
	delay := backoff.Backoff{Min: minBackoff, Max: maxBackoff}
	for {
		result, retryAfter := a.post(ctx, body)
		if result != unknown || product.Pause(ctx, max(delay.Next(), retryAfter)) != nil {
			return result
		}
	}
}

// post posts a snapshot once. After a failure it returns how long the server asks to wait.
func (a *agent) post(ctx context.Context, body []byte) (outcome, time.Duration) {
	url := a.fleet.links[a.link].url() + "/api/v1/snapshots"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		a.fleet.fault(err.Error())
		return unknown, 0
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Content-Encoding", "zstd")
	response, err := a.client.Do(request)
	if err != nil {
		a.fleet.count(0)
		a.link = (a.link + 1) % len(a.fleet.links)
		return unknown, 0
	}
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		a.fleet.count(0)
		return unknown, 0
	}
	a.fleet.count(response.StatusCode)
	switch status := response.StatusCode; {
	case status < 300:
		return acknowledged, 0
	case status == http.StatusConflict && strings.Contains(string(text), string(snapshot.CodeFullNeeded)):
		return refused, 0
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable ||
		status == http.StatusInsufficientStorage:
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil {
			a.fleet.fault(fmt.Sprintf("status %d without Retry-After: %s", status, text))
		}
		return unknown, time.Duration(seconds) * time.Second
	case status >= 500:
		a.fleet.fault(fmt.Sprintf("status %d: %s", status, text))
		return unknown, 0
	}
	a.fleet.fault(fmt.Sprintf("%s: status %d: %s", a.id, response.StatusCode, text))
	return refused, 0
}

func (f *fleet) count(status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.statuses[status]++
}

// fault records something that must not happen.
func (f *fleet) fault(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(f.faults, what) && len(f.faults) < 20 {
		f.faults = append(f.faults, what)
	}
}

// failures returns how many posts have failed so far.
func (f *fleet) failures() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for status, count := range f.statuses {
		if status == 0 || status >= 300 {
			n += count
		}
	}
	return n
}

// summary describes the responses.
func (f *fleet) summary() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(f.statuses)) {
		name := strconv.Itoa(status)
		if status == 0 {
			name = "no response"
		}
		parts = append(parts, fmt.Sprintf("%s: %d", name, f.statuses[status]))
	}
	return strings.Join(parts, ", ")
}
