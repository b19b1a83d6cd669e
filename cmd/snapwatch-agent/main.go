// Command snapwatch-agent watches the machine it runs on and reports to a
// snapwatch server.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/snapwatch/snapwatch/agent"
	"github.com/snapwatch/snapwatch/config"
)

// version is set by the linker.
var version = "dev"

type commandLine struct {
	config.Log
	config.Agent

	Version kong.VersionFlag `help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "snapwatch-agent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if err := config.LoadEnv(); err != nil {
		return err
	}
	var line commandLine
	kong.Parse(&line, kong.Name("snapwatch-agent"), kong.UsageOnError(), kong.Vars{"version": version},
		kong.Description("Watches this machine: every process, at every moment."))
	logger := line.New(os.Stderr)
	dir, err := line.Dir()
	if err != nil {
		return err
	}
	a, err := agent.New(ctx, agent.Config{Server: line.Server, StateDir: dir, MachineID: line.MachineID,
		QueueBytes: line.QueueBytes, FullEvery: line.FullEvery, Version: version}, logger)
	if err != nil {
		return err
	}
	logger.Info("watching this machine", "machine_id", a.MachineID(), "server", line.Server)
	a.Run(ctx)
	return nil
}
