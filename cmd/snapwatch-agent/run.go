package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/snapwatch/snapwatch/agent"
	"github.com/snapwatch/snapwatch/internal/config"
)

type runCommand struct {
	DryRun bool `help:"Record, and print each snapshot as it would be sent, in place of sending it. Nothing is kept."`
}

// Run watches until a signal, or as a service until that is stopped.
func (c runCommand) Run(ctx context.Context, logger *slog.Logger, cfg config.Agent) error {
	settings, err := agentConfig(cfg)
	if err != nil {
		return err
	}
	if os.Getenv("GOMEMLIMIT") == "" && cfg.MaxMemory > 0 {
		debug.SetMemoryLimit(cfg.MaxMemory / 4 * 3) // the rest is not of the heap
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(40) // the heap is small, and garbage is much of it
	}
	if c.DryRun {
		return agent.DryRun(ctx, settings, os.Stdout, logger)
	}
	return asService(ctx, func(ctx context.Context) error { return watch(ctx, logger, cfg, settings) })
}

func watch(ctx context.Context, logger *slog.Logger, cfg config.Agent, settings agent.Config) error {
	a, err := agent.New(ctx, settings, logger)
	if err != nil {
		return err
	}
	logger.Info("watching this machine", "machine_id", a.MachineID(), "server", cfg.Server)
	if cfg.MetricsListen != "" {
		stop, err := serveMetrics(ctx, cfg.MetricsListen, a, logger)
		if err != nil {
			return err
		}
		defer stop()
	}
	return a.Run(ctx)
}

// serveMetrics serves the agent's figures until stop is called.
func serveMetrics(ctx context.Context, address string, a *agent.Agent, logger *slog.Logger) (stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		if err := a.WriteMetrics(w); err != nil {
			logger.Debug("whoever asked for metrics is gone", "err", err)
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
