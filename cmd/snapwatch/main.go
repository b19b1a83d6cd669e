// Command snapwatch is the server: it receives snapshots from agents, stores them in PostgreSQL and
// serves the API and the web page. It also has commands for the database and for accounts.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
	mangokong "github.com/alecthomas/mango-kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"github.com/snapwatch/snapwatch/internal/buildinfo"
	"github.com/snapwatch/snapwatch/internal/config"
)

// commandLine is the program's commands and common flags.
type commandLine struct {
	config.Log

	Up          upCommand          `cmd:"" help:"Run everything on this machine: database, server and an agent."`
	Serve       serveCommand       `cmd:"" help:"Run the server, with a private database unless DATABASE_URL is set."`
	Migrate     migrateCommand     `cmd:"" help:"Migrate the database schema. The server does this by itself when it starts."`
	Upgrade     upgradeCommand     `cmd:"" name:"upgrade-database" help:"Move the private database to another major version of PostgreSQL."`
	DatabaseURL databaseURLCommand `cmd:"" name:"database-url" help:"Print the connection URL of the database, for psql."`
	User        userCommand        `cmd:"" help:"Manage users."`
	Token       tokenCommand       `cmd:"" help:"Manage API tokens, including those of agents."`
	Key         keyCommand         `cmd:"" help:"Manage enrolment keys, with which agents get their tokens."`
	Ready       readyCommand       `cmd:"" help:"Check whether a running server is ready."`
	Doctor      doctorCommand      `cmd:"" help:"Check the set-up of a server: database, disk, clocks, certificates, proxies and limits. It changes nothing."`
	Support     supportCommand     `cmd:"" name:"support-bundle" help:"Collect what is needed to find a fault of a server in a file, without secrets."`
	OpenAPI     openAPICommand     `cmd:"" name:"openapi" help:"Print the OpenAPI document."`
	Version     versionCommand     `cmd:"" help:"Print the version."`

	Completion  kongcompletion.Completion `cmd:"" help:"Show how to set up command completion for bash, zsh or fish."`
	Man         mangokong.ManFlag         `hidden:"" help:"Print the man page."`
	VersionFlag kong.VersionFlag          `name:"version" help:"Print the version."`
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	fmt.Println(buildinfo.Read())
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if child, ok := errors.AsType[*runAsError](err); ok { // the child has printed the error
		os.Exit(max(child.exit.ExitCode(), 1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "snapwatch:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if err := config.LoadEnv(); err != nil {
		return err
	}
	if len(os.Args) > 1 && slices.Contains(diagnosticCommands, os.Args[1]) {
		if err := config.LoadServiceFile(); err != nil {
			return err
		}
	}
	var line commandLine
	parser, err := kong.New(
		&line, kong.Name("snapwatch"), kong.UsageOnError(), kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Vars{"version": buildinfo.Read().String()},
		kong.Description("Records every process on every machine, and shows any moment in the browser and in SQL."),
	)
	if err != nil {
		return fmt.Errorf("build the command line: %w", err)
	}
	kongcompletion.Register(parser)
	parsed, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	return parsed.Run(line.New(os.Stderr))
}
