// Command snapwatch-agent records the machine on which it runs, and sends the recordings to a snapwatch server.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	mangokong "github.com/alecthomas/mango-kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"github.com/snapwatch/snapwatch/agent"
	"github.com/snapwatch/snapwatch/internal/buildinfo"
	"github.com/snapwatch/snapwatch/internal/config"
)

// commandLine has the commands of the program. The default one is run.
type commandLine struct {
	config.Log
	config.Agent

	Run        runCommand                `cmd:"" default:"1" help:"Record this machine until stopped (default)."`
	Once       onceCommand               `cmd:"" help:"Print one snapshot of this machine without sending it."`
	Install    installCommand            `cmd:"" help:"Install and start the agent as a service with these settings."`
	Uninstall  uninstallCommand          `cmd:"" help:"Stop and remove the service."`
	Status     statusCommand             `cmd:"" help:"Show the status of the service and its state directory."`
	Doctor     doctorCommand             `cmd:"" help:"Check everything that the agent needs, and suggest fixes."`
	Completion kongcompletion.Completion `cmd:"" help:"Show how to set up command completion for bash, zsh or fish."`
	Man        mangokong.ManFlag         `hidden:"" help:"Print the man page."`
	Version    kong.VersionFlag          `help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
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
	if err := config.LoadAgentFile(os.Args[1:]); err != nil {
		return err
	}
	var line commandLine
	parser, err := kong.New(
		&line, kong.Name("snapwatch-agent"), kong.UsageOnError(), kong.Vars{"version": buildinfo.Read().String()},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Description("Records every process of this machine, and sends the recordings to a snapwatch server."),
	)
	if err != nil {
		return fmt.Errorf("parse the command line: %w", err)
	}
	kongcompletion.Register(parser)
	parsed, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	return parsed.Run(line.New(os.Stderr), line.Agent, line.Log)
}

// agentConfig converts the settings into the config of package agent.
func agentConfig(cfg config.Agent) (agent.Config, error) {
	dir, err := cfg.Dir()
	if err != nil {
		return agent.Config{}, err
	}
	return agent.Config{Server: cfg.Server, CAFile: cfg.CAFile, ClientCert: cfg.ClientCert, ClientKey: cfg.ClientKey,
		Token: cfg.Token, EnrolmentKey: cfg.EnrolmentKey, StateDir: dir, MachineID: cfg.MachineID,
		KeepSecrets: cfg.KeepSecrets, SecretPatterns: cfg.SecretPatterns, MaxCPU: cfg.MaxCPU, MaxMemory: cfg.MaxMemory,
		QueueBytes: cfg.QueueBytes, FullEvery: cfg.FullEvery, Reader: agent.Reader(cfg.Reader),
		Version: buildinfo.Version()}, nil
}
