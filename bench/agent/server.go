package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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
	// These count short processes; see measured.
	withLine, withoutLine, unlisted atomic.Int64
}

func startServer(interval time.Duration) *server {
	s := &server{}
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
	for i := range batch.Snapshots {
		one := &batch.Snapshots[i]
		if n := one.Machine.UnseenProcesses; n != nil {
			s.unlisted.Add(*n)
		}
		for k := range one.Processes {
			switch p := &one.Processes[k]; {
			case !p.Ended() || p.Name != "true":
			case strings.Contains(p.CommandLine, shortArgument):
				s.withLine.Add(1)
			default:
				s.withoutLine.Add(1)
			}
		}
	}
}

// takeShort returns the counts since the last call.
func (s *server) takeShort() (withLine, withoutLine, unlisted int64) {
	return s.withLine.Swap(0), s.withoutLine.Swap(0), s.unlisted.Swap(0)
}

func (s *server) close() { s.Close() }

// perSample returns the bytes per process and sample, given the number of processes.
func (s *server) perSample(processes int) float64 {
	return float64(s.bytes.Load()) / float64(max(1, s.snapshots.Load()*int64(processes)))
}
