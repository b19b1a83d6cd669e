package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/embedded"
)

type migrateCommand struct {
	Status migrateStatusCommand `cmd:"" help:"Print the version of the schema, and the version that this program needs."`
	Up     migrateUpCommand     `cmd:"" help:"Migrate the schema to the version of this program. An interrupted migration continues."`
	Down   migrateDownCommand   `cmd:"" help:"Remove the schema and all data."`
	To     migrateToCommand     `cmd:"" help:"Migrate the schema up or down to a version."`
	Repair migrateRepairCommand `cmd:"" help:"Find out the version of a schema whose migration was interrupted. Up, down and to do this by themselves."`
}

type migrateUpCommand struct{ config.Database }

// Run migrates the schema to the newest version.
func (c *migrateUpCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withURL(ctx, c.Database, logger, func(ctx context.Context, url string) error {
		detection, err := store.Migrate(ctx, url, c.Profile, logger)
		if err == nil {
			logger.Info("storage profile", "profile", detection.Profile, "reason", detection.Reason)
		}
		return err
	})
}

type migrateDownCommand struct {
	config.Database
	Yes bool `required:"" help:"Confirm that all data is deleted."`
}

// Run removes the schema.
func (c *migrateDownCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withURL(ctx, c.Database, logger, func(ctx context.Context, url string) error {
		return store.MigrateDown(ctx, url, logger)
	})
}

type migrateToCommand struct {
	config.Database
	Target uint `arg:"" help:"Version of the schema."`
	Yes    bool `help:"Confirm that a migration down deletes what only later versions of the schema can store."`
}

// Run migrates the schema to a version.
func (c *migrateToCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withURL(ctx, c.Database, logger, func(ctx context.Context, url string) error {
		status, _, err := store.SchemaStatus(ctx, url)
		if err != nil {
			return err
		}
		if !c.Yes && status.Version > int(c.Target) {
			return fmt.Errorf("a migration from version %d down to %d deletes data, which only a backup can "+
				"bring back: %s; confirm it with --yes", status.Version, c.Target, deletedBelow(c.Target))
		}
		return store.MigrateTo(ctx, url, c.Target, logger)
	})
}

// deletedBelow describes what a migration down to a version deletes, at most.
func deletedBelow(version uint) string {
	deleted := "columns that later versions have added"
	for _, one := range []struct {
		version uint
		what    string
	}{
		{25, "short-lived processes"},
		{8, "all users, sessions, tokens, enrolment keys and the audit log"},
		{5, "rollups"},
		{2, "all snapshots"},
		{1, "all machines and settings"},
	} {
		if version < one.version {
			deleted += ", " + one.what
		}
	}
	return deleted
}

type migrateStatusCommand struct{ config.Database }

// Run prints the version of the schema.
func (c *migrateStatusCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withURL(ctx, c.Database, logger, func(ctx context.Context, url string) error {
		status, profile, err := store.SchemaStatus(ctx, url)
		if err != nil {
			return err
		}
		fmt.Printf("schema version: %d\nneeded by this program: %d\nstorage profile: %s\n",
			status.Version, status.Latest, cmp.Or(profile, "not chosen yet"))
		switch err := status.Check(); {
		case status.Dirty:
			fmt.Println(
				"A migration was interrupted. It continues with snapwatch migrate up, or a start of the server.",
			)
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println("The schema is up to date.")
		}
		return nil
	})
}

type migrateRepairCommand struct{ config.Database }

// Run records the version of a schema whose migration was interrupted.
func (c *migrateRepairCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withURL(ctx, c.Database, logger, func(ctx context.Context, url string) error {
		return store.RepairSchema(ctx, url, logger)
	})
}

type databaseURLCommand struct{ config.Database }

// Run prints the database's URL.
func (c *databaseURLCommand) Run() error {
	url := c.Database.DatabaseURL
	if url == "" {
		dir, err := locateCluster(c.Database)
		if err != nil {
			return err
		}
		if url, err = embedded.FindURL(dir); err != nil {
			return err
		}
		if uid := clusterUser(dir); uid >= 0 {
			fmt.Fprintf(os.Stderr, "Only the user %s can connect: use sudo -u %[1]s psql\n", osUser(uid))
		}
	}
	fmt.Println(url)
	return nil
}

// withURL calls do with the URL of the database of the settings, of the running server, or of the private cluster of
// the data directory, which then runs until do returns. It does not create a cluster.
func withURL(
	ctx context.Context, database config.Database, logger *slog.Logger, do func(context.Context, string) error,
) (err error) {
	if database.DatabaseURL != "" {
		return do(ctx, database.DatabaseURL)
	}
	if database.DataDir, err = locateCluster(database); err != nil {
		return err
	}
	if uid := clusterUser(database.DataDir); uid >= 0 {
		return runAs(ctx, uid, database.DataDir)
	}
	if url, err := embedded.FindURL(database.DataDir); err == nil && store.AcceptsConnections(ctx, url) {
		return do(ctx, url)
	}
	cluster, err := startCluster(ctx, database, embedded.Config{MustExist: true, Logger: logger})
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := cluster.Stop(context.WithoutCancel(ctx)); err == nil {
			err = stopErr
		}
	}()
	return do(ctx, cluster.URL())
}

// startCluster starts the private cluster of the data directory. The caller sets the rest of the configuration.
func startCluster(ctx context.Context, database config.Database, cfg embedded.Config) (*embedded.Cluster, error) {
	dir, err := database.Dir()
	if err != nil {
		return nil, err
	}
	cfg.Dir, cfg.BinDir, cfg.Durable = dir, database.PostgresBin, true
	cluster, err := embedded.Start(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("start the private database: %w", err)
	}
	return cluster, nil
}
