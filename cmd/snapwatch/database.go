package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/embedded"
)

type migrateCommand struct {
	Up      migrateUpCommand      `cmd:"" help:"Bring the schema up to this version."`
	To      migrateToCommand      `cmd:"" help:"Move the schema up or down to a version."`
	Down    migrateDownCommand    `cmd:"" help:"Take the schema and all data away."`
	Version migrateVersionCommand `cmd:"" help:"Print the schema's version."`
}

type migrateUpCommand struct{ config.Database }

// Run brings the schema up.
func (c *migrateUpCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withURL(ctx, c.Database, logger, func(ctx context.Context, url string) error {
		found, err := store.Migrate(ctx, url, c.Profile)
		if err == nil {
			logger.Info("storage profile", "profile", found.Profile, "reason", found.Reason)
		}
		return err
	})
}

type migrateDownCommand struct {
	config.Database
	Yes bool `required:"" help:"Yes, delete all data."`
}

// Run takes the schema away.
func (c *migrateDownCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withURL(ctx, c.Database, logger, store.MigrateDown)
}

type migrateToCommand struct {
	config.Database
	Target uint `arg:"" help:"The version."`
}

// Run moves the schema.
func (c *migrateToCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withURL(
		ctx, c.Database, logger,
		func(ctx context.Context, url string) error { return store.MigrateTo(ctx, url, c.Target) },
	)
}

type migrateVersionCommand struct{ config.Database }

// Run prints the version.
func (c *migrateVersionCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withURL(ctx, c.Database, logger, func(ctx context.Context, url string) error {
		version, dirty, err := store.SchemaVersion(ctx, url)
		if err == nil {
			fmt.Printf("%d%s\n", version, map[bool]string{true: " dirty: a migration failed half-way"}[dirty])
		}
		return err
	})
}

// withURL calls do with the database's URL; the private cluster runs meanwhile.
func withURL(
	ctx context.Context, database config.Database, logger *slog.Logger, do func(context.Context, string) error,
) (err error) {
	if database.DatabaseURL != "" {
		return do(ctx, database.DatabaseURL)
	}
	dir, err := database.Dir()
	if err != nil {
		return err
	}
	cluster, err := embedded.Start(
		ctx, embedded.Config{Dir: dir, BinDir: database.PostgresBin, Durable: true, Logger: logger},
	)
	if err != nil {
		return fmt.Errorf("start the private database: %w", err)
	}
	defer func() {
		if stopErr := cluster.Stop(context.WithoutCancel(ctx)); err == nil {
			err = stopErr
		}
	}()
	return do(ctx, cluster.URL())
}

type databaseURLCommand struct{ config.Database }

// Run prints the URL.
func (c *databaseURLCommand) Run() error {
	url := c.Database.DatabaseURL
	if url == "" {
		dir, err := c.Dir()
		if err != nil {
			return err
		}
		if url, err = embedded.FindURL(dir); err != nil {
			return err
		}
	}
	fmt.Println(url)
	return nil
}

type openAPICommand struct{}

// Run prints the document, which needs neither a database nor a port.
func (openAPICommand) Run() error {
	gin.SetMode(gin.ReleaseMode)
	nothing := func(*gin.Context) {}
	access := api.NewAccess(auth.NewPolicy(auth.Rules()), nil, nil)
	document, err := api.New(api.Config{Version: "1"}, api.Parts{Access: access, Ingest: nothing, Live: nothing, UI: http.NotFoundHandler(),
		Registry: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)}).
		Document()
	if err != nil {
		return fmt.Errorf("make the OpenAPI document: %w", err)
	}
	_, err = fmt.Fprintf(os.Stdout, "%s\n", document)
	return err
}
