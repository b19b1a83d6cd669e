package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/ingest"
	"github.com/snapwatch/snapwatch/internal/bearer"
	"github.com/snapwatch/snapwatch/snapshot"
)

// withAndWithoutToken posts the batches alternately to the API with a token and to ingest without one, so that other
// load affects both. It returns the median times, and the median CPU time of the posts with a token.
func (b *bench) withAndWithoutToken(
	ctx context.Context, batches []*snapshot.Batch,
) (took, cpu, open time.Duration, err error) {
	const rounds = 5
	var ways [2][rounds]time.Duration
	var cpus [rounds]time.Duration
	for i := range 2 * rounds {
		took, used, err := b.writeOverHTTP(ctx, batches, i%2 == 1)
		if err != nil {
			return 0, 0, 0, err
		}
		ways[i%2][i/2] = took
		if i%2 == 0 {
			cpus[i/2] = used
		}
		if err := b.truncate(ctx); err != nil {
			return 0, 0, 0, err
		}
	}
	for i := range ways {
		slices.Sort(ways[i][:])
	}
	slices.Sort(cpus[:])
	return ways[0][rounds/2], cpus[rounds/2], ways[1][rounds/2], nil
}

// access returns the access control of the API, and a client with the token of an administrator. Tokens of
// agents are checked in the same way.
func (b *bench) access(ctx context.Context) (*api.Access, *http.Client, error) {
	service, err := auth.New(auth.Config{}, b.store.Accounts(), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	service.SetListening(true) // without this, the cache is off until the server listens for changes
	secret, _, err := service.CreateToken(ctx, auth.TokenParams{Name: "bench", Role: auth.RoleAdmin})
	if err != nil {
		return nil, nil, err
	}
	access := api.NewAccess(auth.NewPolicy(auth.Rules()), service, b.store.Queries)
	transport := bearer.Transport{Token: secret, Next: &http.Transport{MaxIdleConnsPerHost: writeMachines}}
	return access, &http.Client{Transport: transport}, nil
}

// writeOverHTTP posts the batches, which are compressed before, to a listener: to the API with a token or, if open
// is set, only to ingest. cpu is the CPU time of the whole machine.
func (b *bench) writeOverHTTP(
	ctx context.Context, batches []*snapshot.Batch, open bool,
) (took, cpu time.Duration, err error) {
	bodies := make([][]byte, len(batches))
	for i, batch := range batches {
		text, err := snapshot.EncodeBatch(batch)
		if err != nil {
			return 0, 0, err
		}
		var buffer bytes.Buffer
		w := gzip.NewWriter(&buffer)
		if _, err := w.Write(text); err != nil {
			return 0, 0, err
		}
		if err := w.Close(); err != nil {
			return 0, 0, err
		}
		bodies[i] = buffer.Bytes()
	}
	in := ingest.New(
		ingest.Config{Horizon: b.store.Horizon}, b.store, slog.New(slog.DiscardHandler), prometheus.NewRegistry(),
	)
	defer in.Close()
	access, client, err := b.access(ctx)
	if err != nil {
		return 0, 0, err
	}
	nothing := func(*gin.Context) {}
	var handler http.Handler = api.New(
		api.Config{Version: "bench", RequestRate: 1e9},
		api.Parts{
			Store:    b.store,
			Access:   access,
			Ingest:   in.Handle,
			Live:     nothing,
			UI:       http.NotFoundHandler(),
			Registry: prometheus.NewRegistry(),
			Logger:   slog.New(slog.DiscardHandler),
		},
	)
	if open {
		engine := gin.New()
		engine.POST("/api/v1/snapshots", in.Handle)
		handler = engine
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	began := busyCPU()
	took, err = post(ctx, client, "http://"+listener.Addr().String()+"/api/v1/snapshots", bodies, writeMachines)
	return took, busyCPU() - began, err
}

// post sends bodies over several connections. Bodies whose indexes differ by a multiple of machines belong to
// the same machine and keep their order.
func post(ctx context.Context, client *http.Client, url string, bodies [][]byte, machines int) (time.Duration, error) {
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	started := time.Now()
	for m := range machines {
		wg.Go(func() {
			for i := m; i < len(bodies); i += machines {
				request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(bodies[i]))
				if err == nil {
					request.Header.Set("Content-Type", "application/json")
					request.Header.Set("Content-Encoding", "gzip")
					err = do(client, request)
				}
				if err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return time.Since(started), nil
}

func do(client *http.Client, request *http.Request) error {
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	text, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %.300s", response.Status, text)
	}
	return nil
}

// busyCPU returns the CPU time of the whole machine, including the database.
func busyCPU() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	var user, nice, system, idle, wait, irq, soft, steal int64
	_, err = fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d %d",
		&user, &nice, &system, &idle, &wait, &irq, &soft, &steal)
	if err != nil {
		return 0
	}
	return time.Duration(user+nice+system+irq+soft) * time.Second / 100
}
