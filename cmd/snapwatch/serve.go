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
	config.OIDC
	config.TLS
}

// Run serves until a signal.
func (c *serveCommand) Run(ctx context.Context, logger *slog.Logger) error {
	s, err := start(ctx, settings{c.Database, c.Server, c.OIDC, c.TLS}, logger)
	if err != nil {
		return err
	}
	defer s.stop()
	if err := s.announce(ctx); err != nil {
		return err
	}
	return s.wait(ctx)
}

type upCommand struct {
	config.Database
	config.Server
}

// Run serves with an agent of this machine until a signal.
func (c *upCommand) Run(ctx context.Context, logger *slog.Logger) error {
	program, err := agentProgram()
	if err != nil {
		return err
	}
	s, err := start(ctx, settings{database: c.Database, server: c.Server}, logger)
	if err != nil {
		return err
	}
	defer func() {
		s.stop()
		fmt.Fprintln(os.Stderr, "snapwatch has stopped; run it again, and the history is still there.")
	}()
	arguments := []string{"--server", s.url()}
	if c.DataDir != "" { // what belongs to an unusual place stays together there
		arguments = append(arguments, "--state-dir", filepath.Join(c.DataDir, "agent"))
	}
	key, err := s.auth.CreateLocalEnrolmentKey(ctx)
	if err != nil {
		return err
	}
	agentCtx, stopAgent := context.WithCancel(ctx)
	agentDone := make(chan struct{})
	go func() { superviseAgent(agentCtx, program, arguments, key, logger); close(agentDone) }()
	// The agent goes first, so that its last snapshots are taken.
	defer func() { stopAgent(); <-agentDone }()
	if err := s.announce(ctx); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "Ctrl-C stops it.")
	return s.wait(ctx)
}
