package store

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/migrator"
)

// Migrate migrates the schema to the latest version, in the profile that Detect returns. It locks the schema first, so
// that servers that start at the same time choose the same profile, and one of them migrates. An interrupted migration
// continues. If the schema is newer than this program, the error wraps migrator.ErrNewer.
func Migrate(ctx context.Context, databaseURL, want string, logger *slog.Logger) (found Detection, err error) {
	return MigrateAndReport(ctx, databaseURL, want, logger, nil)
}

// MigrateAndReport is Migrate, and calls onWait every few seconds while it waits for the lock of the schema, with a
// description of the sessions that hold it. It calls onWait with "" when it has the lock.
func MigrateAndReport(
	ctx context.Context, databaseURL, want string, logger *slog.Logger, onWait func(holders string),
) (found Detection, err error) {
	err = withMigrator(ctx, databaseURL, want, logger, onWait, func(m *migrator.Migrator, detection Detection) error {
		found = detection
		return m.Up(ctx, detection.Profile)
	})
	return found, err
}

// MigrateDown removes the whole schema with all data.
func MigrateDown(ctx context.Context, databaseURL string, logger *slog.Logger) error {
	return withMigrator(ctx, databaseURL, "auto", logger, nil, func(m *migrator.Migrator, found Detection) error {
		return m.Down(ctx, found.Profile)
	})
}

// MigrateTo migrates the schema up or down to a version.
func MigrateTo(ctx context.Context, databaseURL string, version uint, logger *slog.Logger) error {
	return withMigrator(ctx, databaseURL, "auto", logger, nil, func(m *migrator.Migrator, found Detection) error {
		return m.To(ctx, found.Profile, version)
	})
}

// RepairSchema records the version that a schema has if a migration of an earlier version of snapwatch was interrupted.
func RepairSchema(ctx context.Context, databaseURL string, logger *slog.Logger) error {
	return withMigrator(ctx, databaseURL, "auto", logger, nil, func(m *migrator.Migrator, found Detection) error {
		return m.Repair(ctx, found.Profile)
	})
}

// SchemaStatus returns the state of a database's schema, and its profile, "" if it has none yet. It changes nothing.
func SchemaStatus(ctx context.Context, databaseURL string) (status migrator.Status, profile string, err error) {
	conn, err := connect(ctx, databaseURL, "snapwatch migrate")
	if err != nil {
		return status, "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if profile, err = createdProfile(ctx, conn); err != nil {
		return status, "", err
	}
	// The profiles have the same versions.
	status, err = migrator.ReadStatus(ctx, conn, cmp.Or(profile, backend.Postgres))
	return status, profile, err
}

// withMigrator locks the schema of a database and calls do with the detected profile. onWait may be nil.
func withMigrator(
	ctx context.Context, databaseURL, want string, logger *slog.Logger, onWait func(holders string),
	do func(*migrator.Migrator, Detection) error,
) (err error) {
	conn, err := connect(ctx, databaseURL, "snapwatch migrate")
	if err != nil {
		return err
	}
	m, err := migrator.New(ctx, conn, logger, onWait)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	found, err := Detect(ctx, databaseURL, want)
	if err != nil {
		return err
	}
	return do(m, found)
}
