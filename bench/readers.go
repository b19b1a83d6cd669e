package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/snapwatch/snapwatch/bench/product"
	"github.com/snapwatch/snapwatch/internal/bearer"
)

// readers send expensive reads without a pause, whatever the server answers. Ten share a token.
type readers struct {
	url     string
	clients []*http.Client
	number  int

	mu       sync.Mutex
	statuses map[int]int
}

const readersPerToken = 10

// newReaders returns a number of readers.
func newReaders(ctx context.Context, server *product.Server, number int) (*readers, error) {
	r := &readers{url: server.URL, number: number, statuses: make(map[int]int)}
	for i := 0; i < number; i += readersPerToken {
		token, err := server.ReaderToken(ctx, fmt.Sprintf("reader %d", i))
		if err != nil {
			return nil, err
		}
		r.clients = append(r.clients, &http.Client{Transport: bearer.Transport{Token: token}})
	}
	return r, nil
}

// run reads until ctx ends.
func (r *readers) run(ctx context.Context) {
	var running sync.WaitGroup
	for i := range r.number {
		running.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				r.read(ctx, r.clients[i/readersPerToken], n)
			}
		})
	}
	running.Wait()
}

// read sends the nth request. Every fourth client does not wait for the answer.
func (r *readers) read(ctx context.Context, client *http.Client, n int) {
	now := time.Now().UTC()
	from, to := now.Add(-24*time.Hour).Format(time.RFC3339), now.Format(time.RFC3339)
	day := url.Values{"from": {from}, "to": {to}}.Encode()
	paths := []string{
		"/api/v1/processes?command=e&" + day,
		"/api/v1/processes/top?limit=200&" + day,
		"/api/v1/processes/top?by=name&" + day,
		"/api/v1/machines/bench-00001/export?" + day,
		"/api/v1/machines/bench-00002/diff?limit=200&" + day,
		"/api/v1/machines/bench-00003/snapshots?include_processes=true&" + day,
		"/api/v1/processes/history?name=java&" + day,
	}
	limit := time.Minute
	if n%4 == 0 {
		limit = 500 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+paths[n%len(paths)], nil)
	if err != nil {
		return
	}
	status := 0
	if response, err := client.Do(request); err == nil {
		status = response.StatusCode
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statuses[status]++
}

// report prints how many reads got each status.
func (r *readers) report() {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Printf("%d readers:", r.number)
	for _, status := range slices.Sorted(maps.Keys(r.statuses)) {
		if status == 0 {
			fmt.Printf(" %d left;", r.statuses[status])
			continue
		}
		fmt.Printf(" %d got %d;", r.statuses[status], status)
	}
	fmt.Println()
}
