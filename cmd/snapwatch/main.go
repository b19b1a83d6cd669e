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

	"github.com/snapwatch/snapwatch/config"
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
	Ready       readyCommand       `cmd:"" help:"Ask a running server whether it is ready."`
	OpenAPI     openAPICommand     `cmd:"" name:"openapi" help:"Print the OpenAPI document."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
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
	parsed := kong.Parse(&line, kong.Name("snapwatch"), kong.UsageOnError(), kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Description("Every process on every machine, at every moment: live in the browser and for ever in SQL."))
	return parsed.Run(line.New(os.Stderr))
}
