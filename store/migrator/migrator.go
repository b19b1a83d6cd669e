// Package migrator migrates the database schema with golang-migrate. Each migration and its version commit in one
// transaction, so an interruption at any moment leaves a schema from which the next start continues.
package migrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/source"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/migrations"
)

var (
	// ErrNewer means that a newer version of snapwatch has migrated the database.
	ErrNewer = errors.New("the database was migrated by a newer version of snapwatch")
	// ErrOlder means that the database is not migrated to the version of this program.
	ErrOlder = errors.New("the database is not migrated")
)

// Querier reads a row of a database. Connections and pools of pgx implement it.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Status is the state of a database's schema.
type Status struct {
	// Version is the version of the schema, 0 for an empty database.
	Version int
	// Latest is the version that this program needs.
	Latest int
	// Dirty reports that an earlier version of snapwatch, or another program, was interrupted while it migrated.
	Dirty bool
}

// Migrator migrates one database. It has locked the schema, so no other migrator of the database does anything until
// Close.
type Migrator struct {
	driver *driver
	logger *slog.Logger
}

// New locks the schema of a database. While another migrator has the lock, New waits until ctx is done. The Migrator
// owns the connection, and closes it. While New waits, it calls onWait every few seconds with a description of the
// sessions that hold the lock, and with "" when it has the lock. onWait may be nil.
func New(ctx context.Context, conn *pgx.Conn, logger *slog.Logger, onWait func(holders string)) (*Migrator, error) {
	if onWait == nil {
		onWait = func(string) {}
	}
	d := &driver{conn: conn, logger: logger, onWait: onWait}
	if err := d.prepare(ctx); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("prepare the migration: %w", err)
	}
	return &Migrator{driver: d, logger: logger}, nil
}

// Close unlocks the schema and closes the connection.
func (m *Migrator) Close() error { return m.driver.Close() }

// ReadStatus returns the state of the schema of a database. It neither waits for the lock nor changes anything.
func ReadStatus(ctx context.Context, conn Querier, profile string) (status Status, err error) {
	if status.Latest, err = Latest(profile); err != nil {
		return Status{}, err
	}
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, versionTable).Scan(&exists); err != nil {
		return Status{}, fmt.Errorf("check for the table %s: %w", versionTable, err)
	}
	if !exists {
		return status, nil
	}
	err = conn.QueryRow(ctx, `SELECT greatest(version, 0), dirty FROM `+versionTable).Scan(&status.Version, &status.Dirty)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Status{}, fmt.Errorf("read the schema's version: %w", err)
	}
	return status, nil
}

// Check returns an error, for people, if a server of this version cannot use the schema.
func (s Status) Check() error {
	switch {
	case s.Version > s.Latest:
		return fmt.Errorf("%w: its schema has version %d, and this program knows versions up to %d. "+
			"Run that version of snapwatch, or restore a backup from before the upgrade", ErrNewer, s.Version, s.Latest)
	case s.Dirty || s.Version < s.Latest:
		return fmt.Errorf("%w: it has version %d, and this program needs version %d. "+
			"Restart the server, or run snapwatch migrate up", ErrOlder, s.Version, s.Latest)
	}
	return nil
}

// Up migrates the schema to the latest version. It returns ErrNewer if the schema has a newer version.
func (m *Migrator) Up(ctx context.Context, profile string) error {
	return m.run(ctx, profile, func(lib *migrate.Migrate) error { return lib.Up() })
}

// Down removes the whole schema with all data.
func (m *Migrator) Down(ctx context.Context, profile string) error {
	return m.run(ctx, profile, func(lib *migrate.Migrate) error { return lib.Down() })
}

// To migrates the schema up or down to a version.
func (m *Migrator) To(ctx context.Context, profile string, version uint) error {
	return m.run(ctx, profile, func(lib *migrate.Migrate) error { return lib.Migrate(version) })
}

// run repairs a dirty version, and calls do with the library's migrator.
func (m *Migrator) run(ctx context.Context, profile string, do func(*migrate.Migrate) error) (err error) {
	status, err := ReadStatus(ctx, m.driver.conn, profile)
	if err != nil {
		return err
	}
	if err := status.Check(); errors.Is(err, ErrNewer) {
		return err
	}
	if status.Dirty {
		if err := m.Repair(ctx, profile); err != nil {
			return err
		}
	}
	files, err := openSource(profile)
	if err != nil {
		return err
	}
	m.driver.ctx = ctx
	lib, err := migrate.NewWithInstance("embedded", files, "postgres", keepOpen{m.driver})
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	lib.LockTimeout = time.Duration(math.MaxInt64) // the schema is locked already
	stop := context.AfterFunc(ctx, func() { lib.GracefulStop <- true })
	defer stop()
	err = do(lib)
	sourceErr, _ := lib.Close()
	switch {
	case errors.Is(err, migrate.ErrNoChange):
		err = nil
	case err == nil:
		err = ctx.Err() // the library stops between two migrations without an error
	}
	if err != nil {
		return fmt.Errorf("migrate the schema: %w", errors.Join(err, sourceErr))
	}
	return sourceErr
}

// keepOpen is the driver without Close, because the library closes a driver that the Migrator still needs.
type keepOpen struct{ *driver }

// Close does nothing.
func (keepOpen) Close() error { return nil }

// openSource returns the migrations of a profile for the library.
func openSource(profile string) (source.Driver, error) {
	folder, err := migrations.For(profile)
	if err != nil {
		return nil, err
	}
	files, err := iofs.New(folder, ".")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return files, nil
}

// Latest returns the version of the last migration of a profile.
func Latest(profile string) (int, error) {
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

var _ database.Driver = (*driver)(nil)
