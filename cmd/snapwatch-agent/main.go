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
	mangokong "github.com/alecthomas/mango-kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"github.com/snapwatch/snapwatch/agent"
	"github.com/snapwatch/snapwatch/internal/buildinfo"
	"github.com/snapwatch/snapwatch/internal/config"
)

// commandLine is the program's commands; without one it runs.
type commandLine struct {
	config.Log
	config.Agent

	Run        runCommand                `cmd:"" default:"1" help:"Watch this machine until a signal; what the program does without a command."`
	Once       onceCommand               `cmd:"" help:"Print what the agent would record now. Nothing is sent."`
	Install    installCommand            `cmd:"" help:"Install the agent as a service of this system, with the settings that are given, and start it."`
	Uninstall  uninstallCommand          `cmd:"" help:"Stop and remove that service."`
	Status     statusCommand             `cmd:"" help:"Tell whether the service runs, and what it keeps."`
	Doctor     doctorCommand             `cmd:"" help:"Look at all that the agent needs, and tell how to mend what is wrong."`
	Completion kongcompletion.Completion `cmd:"" help:"Tell how to complete this program's commands in bash, zsh or fish."`
	Man        mangokong.ManFlag         `hidden:"" help:"Print the man page."`
	Version    kong.VersionFlag          `help:"Print the version."`
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
	if err := config.LoadAgentFile(os.Args[1:]); err != nil {
		return err
	}
	var line commandLine
	parser, err := kong.New(
		&line, kong.Name("snapwatch-agent"), kong.UsageOnError(), kong.Vars{"version": buildinfo.Read().String()},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Description("Watches this machine: every process, at every moment."),
	)
	if err != nil {
		return fmt.Errorf("build the command line: %w", err)
	}
	kongcompletion.Register(parser)
	parsed, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	return parsed.Run(line.New(os.Stderr), line.Agent, line.Log)
}

// agentConfig is what the settings mean to package agent.
func agentConfig(cfg config.Agent) (agent.Config, error) {
	dir, err := cfg.Dir()
	if err != nil {
		return agent.Config{}, err
	}
	return agent.Config{Server: cfg.Server, CAFile: cfg.CAFile, ClientCert: cfg.ClientCert, ClientKey: cfg.ClientKey,
		Token: cfg.Token, EnrolmentKey: cfg.EnrolmentKey, StateDir: dir, MachineID: cfg.MachineID,
		KeepSecrets: cfg.KeepSecrets, SecretPatterns: cfg.SecretPatterns, MaxCPU: cfg.MaxCPU, MaxMemory: cfg.MaxMemory,
		QueueBytes: cfg.QueueBytes, FullEvery: cfg.FullEvery, Version: buildinfo.Version()}, nil
}
