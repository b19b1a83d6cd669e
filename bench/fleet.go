package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/snapwatch/snapwatch/bench/product"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// fleet is the simulated agents. Each posts a snapshot every interval, encoded as the real agent does, and a
// full one every minute.
type fleet struct {
	load   load
	url    string
	key    string // enrolment key
	client *http.Client
	tokens []string // by agent; written by enrol

	mu      sync.Mutex
	latency []time.Duration // of acknowledged posts
	faults  map[string]int
	causes  []string                       // by agent: the last error, "" after an acknowledged post
	posts   []int                          // by agent: acknowledged snapshots
	sent    int                            // acknowledged snapshots
	logical int                            // process samples, including unchanged processes
	rows    int                            // process samples sent
	bytes   int                            // compressed
	acked   map[snapshot.Time][2]time.Time // of machine 0: times of the request and of the response
}

func newFleet(l load, url, key string) *fleet {
	return &fleet{
		load:   l,
		url:    url,
		key:    key,
		tokens: make([]string, l.agents),
		faults: make(map[string]int),
		causes: make([]string, l.agents),
		posts:  make([]int, l.agents),
		acked:  make(map[snapshot.Time][2]time.Time),
		client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: l.agents}},
	}
}

func (f *fleet) machineID(i int) string { return fmt.Sprintf("bench-%05d", i) }

// reset discards the measurements so far. The causes of lost agents remain.
func (f *fleet) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latency, f.sent, f.logical, f.rows, f.bytes = nil, 0, 0, 0, 0
	clear(f.faults)
	clear(f.posts)
	clear(f.acked)
}

// run lets the agents that have enrolled post until ctx ends. Their posts are spread evenly over the interval.
func (f *fleet) run(ctx context.Context) {
	began := time.Now()
	var agents sync.WaitGroup
	for i := range f.load.agents {
		if f.tokens[i] == "" {
			continue
		}
		agents.Go(func() { f.agent(ctx, i, began.Add(time.Duration(i)*f.load.interval/time.Duration(f.load.agents))) })
	}
	agents.Wait()
}

func (f *fleet) agent(ctx context.Context, i int, next time.Time) {
	machine := snapshottest.NewMachine(uint64(i), f.load.processes)
	machine.Busy, machine.Churn = f.load.busy, 0.002
	compressor, err := zstd.NewWriter(
		nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true),
	)
	if err != nil {
		f.fault(i, err.Error())
		return
	}
	var encoder snapshot.Encoder
	var previous, full snapshot.Time
	for ; product.Pause(ctx, time.Until(next)) == nil; next = next.Add(f.load.interval) {
		now := snapshot.TimeOf(time.Now())
		processes := machine.Step(now)
		s := snapshot.Snapshot{
			Timestamp:  now,
			Kind:       snapshot.KindFull,
			IntervalMS: f.load.interval.Milliseconds(),
			Machine:    machine.Metrics(),
		}
		// Spread the full snapshots over the minute, as for agents that started at different times.
		offset := time.Duration(i) * time.Minute / time.Duration(f.load.agents)
		if previous == 0 || now.Std().Add(offset).Truncate(time.Minute).After(full.Std().Add(offset)) {
			s.Processes, full = encoder.Full(processes), now
		} else {
			s.Kind, s.Previous = snapshot.KindChanges, previous
			s.Processes, s.Exited = encoder.Changes(processes)
		}
		previous = now
		body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: f.machineID(i), Snapshots: []snapshot.Snapshot{s}})
		if err != nil {
			f.fault(i, err.Error())
			return
		}
		f.post(ctx, i, &s, compressor.EncodeAll(body, nil), len(processes))
	}
}

func (f *fleet) post(ctx context.Context, i int, s *snapshot.Snapshot, body []byte, logical int) {
	began := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+"/api/v1/snapshots", bytes.NewReader(body))
	if err != nil {
		f.fault(i, err.Error())
		return
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Content-Encoding", "zstd")
	request.Header.Set("Authorization", "Bearer "+f.tokens[i])
	response, err := f.client.Do(request)
	if err != nil {
		if ctx.Err() == nil {
			f.fault(i, err.Error())
		}
		return
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	now := time.Now()
	if response.StatusCode != http.StatusCreated {
		f.fault(i, response.Status)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latency = append(f.latency, now.Sub(began))
	f.sent++
	f.posts[i]++
	f.causes[i] = ""
	f.logical += logical
	f.rows += len(s.Processes) + len(s.Exited)
	f.bytes += len(body)
	if i == 0 {
		f.acked[s.Timestamp] = [2]time.Time{began, now}
	}
}

// fault records an error of an agent, by its text.
func (f *fleet) fault(i int, what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[what]++
	f.causes[i] = what
}
