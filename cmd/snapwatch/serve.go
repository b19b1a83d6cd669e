package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/snapwatch/snapwatch/internal/config"
)

type serveCommand struct {
	config.Database
	config.Server
	config.Access
	config.OIDC
	config.TLS
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, logger *slog.Logger) error {
	s, err := start(ctx, settings{c.Database, c.Server, c.Access, c.OIDC, c.TLS}, logger)
	if err != nil {
		return unlessCancelled(ctx, err, logger)
	}
	defer s.stop()
	s.announce()
	return s.wait(ctx)
}

// unlessCancelled returns the error of a start, or nil if the start was cancelled. Then everything has stopped. What
// could not be stopped is in the log.
func unlessCancelled(ctx context.Context, err error, logger *slog.Logger) error {
	if ctx.Err() == nil {
		return err
	}
	logger.Info("the start was cancelled", "err", err)
	return nil
}

type upCommand struct {
	config.Database
	config.Server
	config.Access
	config.TLS
}

// Run serves, with an agent for this machine, until ctx ends.
func (c *upCommand) Run(ctx context.Context, logger *slog.Logger) error {
	program, err := agentProgram()
	if err != nil {
		return err
	}
	s, err := start(ctx, settings{database: c.Database, server: c.Server, access: c.Access, tls: c.TLS}, logger)
	if err != nil {
		return unlessCancelled(ctx, err, logger)
	}
	defer func() {
		s.stop()
		fmt.Fprintln(os.Stderr, "snapwatch has stopped. The history is kept for the next start.")
	}()
	address, err := s.localAgentURL(ctx)
	if err != nil {
		return err
	}
	arguments := []string{"--server", address}
	if c.DataDir != "" { // keep the agent's state beside the data
		arguments = append(arguments, "--state-dir", filepath.Join(c.DataDir, "agent"))
	}
	var key string
	if err := s.untilAvailable(ctx, func(ctx context.Context) (err error) {
		key, err = s.auth.CreateLocalEnrolmentKey(ctx)
		return err
	}); err != nil {
		return err
	}
	agentCtx, stopAgent := context.WithCancel(ctx)
	agentDone := make(chan struct{})
	go func() { superviseAgent(agentCtx, program, arguments, key, logger); close(agentDone) }()
	// The agent stops before the server, so that its last snapshots are stored.
	defer func() { stopAgent(); <-agentDone }()
	s.announce()
	fmt.Fprintln(os.Stderr, "Press Ctrl-C to stop.")
	return s.wait(ctx)
}
