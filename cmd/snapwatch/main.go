// Command snapwatch is the server: it takes the agents' snapshots, keeps them in
// PostgreSQL and shows them.
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

	"github.com/snapwatch/snapwatch/internal/config"
)

// version is set by the linker.
var version = "dev"

// commandLine is the program's commands.
type commandLine struct {
	config.Log

	Up          upCommand          `cmd:"" help:"Run everything on this machine: database, server and an agent."`
	Serve       serveCommand       `cmd:"" help:"Run the server, with its private database if DATABASE_URL is not set."`
	Migrate     migrateCommand     `cmd:"" help:"Move the database's schema; the server does it by itself at start."`
	DatabaseURL databaseURLCommand `cmd:"" name:"database-url" help:"Print the connection URL of the database, for psql."`
	User        userCommand        `cmd:"" help:"People who may log in."`
	Token       tokenCommand       `cmd:"" help:"Tokens of programs and agents."`
	Key         keyCommand         `cmd:"" help:"Enrolment keys, with which agents get their tokens."`
	Ready       readyCommand       `cmd:"" help:"Ask a running server whether it is ready."`
	OpenAPI     openAPICommand     `cmd:"" name:"openapi" help:"Print the OpenAPI document."`
	Version     versionCommand     `cmd:"" help:"Print the version."`

	Completion kongcompletion.Completion `cmd:"" help:"Tell how to complete this program's commands in bash, zsh or fish."`
	Man        mangokong.ManFlag         `hidden:"" help:"Print the man page."`
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	fmt.Println(version)
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "snapwatch:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if err := config.LoadEnv(); err != nil {
		return err
	}
	var line commandLine
	parser, err := kong.New(
		&line, kong.Name("snapwatch"), kong.UsageOnError(), kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Description("Every process on every machine, at every moment: live in the browser and for ever in SQL."),
	)
	if err != nil {
		return fmt.Errorf("build the command line: %w", err)
	}
	kongcompletion.Register(parser)
	parsed, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	return parsed.Run(line.New(os.Stderr))
}
