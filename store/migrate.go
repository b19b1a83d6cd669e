package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/golang-migrate/migrate/v4"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/snapwatch/snapwatch/internal/pgsession"
	"github.com/snapwatch/snapwatch/migrations"
)

// Migrate migrates the schema to the latest version, in the profile that Detect returns. An advisory lock
// keeps servers from migrating at the same time.
func Migrate(ctx context.Context, databaseURL, want string) (Detection, error) {
	found, err := Detect(ctx, databaseURL, want)
	if err != nil {
		return Detection{}, err
	}
	return found, migrateWith(ctx, databaseURL, found.Profile, func(m *migrate.Migrate) error { return m.Up() })
}

// MigrateDown removes the whole schema with all data.
func MigrateDown(ctx context.Context, databaseURL string) error {
	return withMigrator(ctx, databaseURL, func(m *migrate.Migrate) error { return m.Down() })
}

// MigrateTo migrates the schema up or down to a version.
func MigrateTo(ctx context.Context, databaseURL string, version uint) error {
	return withMigrator(ctx, databaseURL, func(m *migrate.Migrate) error { return m.Migrate(version) })
}

// SchemaVersion returns the version of the schema, 0 for an empty database.
func SchemaVersion(ctx context.Context, databaseURL string) (version uint, dirty bool, err error) {
	err = withMigrator(ctx, databaseURL, func(m *migrate.Migrate) error {
		version, dirty, err = m.Version()
		if errors.Is(err, migrate.ErrNilVersion) {
			return nil
		}
		return err
	})
	return version, dirty, err
}

// withMigrator calls do with a migrator for the profile of the database.
func withMigrator(ctx context.Context, databaseURL string, do func(*migrate.Migrate) error) error {
	found, err := Detect(ctx, databaseURL, "auto")
	if err != nil {
		return err
	}
	return migrateWith(ctx, databaseURL, found.Profile, do)
}

func migrateWith(ctx context.Context, databaseURL, profile string, do func(*migrate.Migrate) error) (err error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return fmt.Errorf("parse database URL: %w", redact(err))
	}
	pgsession.Configure(&config.Config, "snapwatch migrate")
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.PingContext(ctx); err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	folder, err := migrations.For(profile)
	if err != nil {
		return err
	}
	source, err := iofs.New(folder, ".")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	driver, err := migratepgx.WithInstance(db, &migratepgx.Config{})
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	m, err := migrate.NewWithInstance("embedded", source, "database", driver)
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	defer func() {
		sourceErr, dbErr := m.Close()
		err = errors.Join(err, sourceErr, dbErr)
	}()
	if err := do(m); err != nil && !errors.Is(err, migrate.ErrNoChange) {
		return fmt.Errorf("migrate the schema: %w", err)
	}
	return nil
}

// latestVersion returns the version of the last migration of a profile.
func latestVersion(profile string) (int, error) {
	folder, err := migrations.For(profile)
	if err != nil {
		return 0, err
	}
	names, err := fs.Glob(folder, "*.up.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("list migrations of %s: %w", profile, err)
	}
	return strconv.Atoi(names[len(names)-1][:4])
}
