package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/snapwatch/snapwatch/snapshot"
)

// server accepts and counts the agent's posts. It runs in the benchmark's process, so that its cost is not part of the
// measurement.
type server struct {
	*httptest.Server
	url                     string
	posts, snapshots, bytes atomic.Int64
	// These are short processes; see measured. One that a snapshot lists is in a further one when it has ended.
	mu                    sync.Mutex
	withLine, withoutLine map[snapshot.ProcessKey]bool
	unlisted              int64
}

func startServer(interval time.Duration) *server {
	s := &server{withLine: make(map[snapshot.ProcessKey]bool), withoutLine: make(map[snapshot.ProcessKey]bool)}
	config := fmt.Sprintf(`{"polling_interval":%g,"enabled":true}`, interval.Seconds())
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/snapshots" {
			_, _ = io.WriteString(w, config)
			return
		}
		body, _ := io.ReadAll(r.Body)
		reader, err := zstd.NewReader(nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer reader.Close()
		text, err := reader.DecodeAll(body, nil)
		if err == nil {
			var batch *snapshot.Batch
			if batch, err = snapshot.DecodeBatch(text); err == nil {
				s.posts.Add(1)
				s.snapshots.Add(int64(len(batch.Snapshots)))
				s.bytes.Add(int64(len(body)))
				s.countShort(batch)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"stored":1,"duplicates":0,"config":`+config+`,"config_version":1}`)
	}))
	s.url = s.URL
	return s
}

// countShort counts the processes of measureShort in a batch, and those that the agent has only counted.
func (s *server) countShort(batch *snapshot.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range batch.Snapshots {
		one := &batch.Snapshots[i]
		if n := one.Machine.UnseenProcesses; n != nil {
			s.unlisted += *n
		}
		for k := range one.Processes {
			switch p := &one.Processes[k]; {
			case strings.Contains(p.CommandLine, shortArgument):
				s.withLine[p.Key()] = true
			case p.Name == "true":
				s.withoutLine[p.Key()] = true
			}
		}
	}
}

// takeShort returns the numbers of short processes since the last call.
func (s *server) takeShort() (withLine, withoutLine int, unlisted int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	withLine, withoutLine, unlisted = len(s.withLine), len(s.withoutLine), s.unlisted
	clear(s.withLine)
	clear(s.withoutLine)
	s.unlisted = 0
	return withLine, withoutLine, unlisted
}

func (s *server) close() { s.Close() }

// perSample returns the bytes per process and sample, given the number of processes.
func (s *server) perSample(processes int) float64 {
	return float64(s.bytes.Load()) / float64(max(1, s.snapshots.Load()*int64(processes)))
}
