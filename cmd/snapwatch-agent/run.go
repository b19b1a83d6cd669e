package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/snapwatch/snapwatch/agent"
	"github.com/snapwatch/snapwatch/internal/config"
)

type runCommand struct {
	DryRun bool `help:"Print each snapshot as JSON instead of sending it. Store nothing."`
}

// Run records until a signal arrives or the service is stopped.
func (c runCommand) Run(ctx context.Context, logger *slog.Logger, cfg config.Agent) error {
	settings, err := agentConfig(cfg)
	if err != nil {
		return err
	}
	if os.Getenv("GOMEMLIMIT") == "" && cfg.MaxMemory > 0 {
		debug.SetMemoryLimit(cfg.MaxMemory / 4 * 3) // the rest is for memory outside the heap
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(40) // the heap is small, and a large part of it is garbage
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1) // the agent should not use more, and waking threads of others takes CPU time
	}
	if c.DryRun {
		return agent.DryRun(ctx, settings, os.Stdout, logger)
	}
	return asService(ctx, func(ctx context.Context) error { return record(ctx, logger, cfg, settings) })
}

// record runs an agent until ctx ends.
func record(ctx context.Context, logger *slog.Logger, cfg config.Agent, settings agent.Config) error {
	a, err := agent.New(ctx, settings, logger)
	if err != nil {
		return err
	}
	logger.Info("recording this machine", "machine_id", a.MachineID(), "server", cfg.Server)
	if cfg.MetricsListen != "" {
		stop, err := serveMetrics(ctx, cfg.MetricsListen, a, logger)
		if err != nil {
			return err
		}
		defer stop()
	}
	return a.Run(ctx)
}

// serveMetrics serves the agent's metrics until stop is called.
func serveMetrics(ctx context.Context, address string, a *agent.Agent, logger *slog.Logger) (stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		if err := a.WriteMetrics(w); err != nil {
			logger.Debug("could not send metrics", "err", err)
		}
	})
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
	}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(listener) })
	logger.Info("serving metrics", "address", listener.Addr().String())
	return func() {
		_ = server.Close()
		running.Wait()
	}, nil
}
