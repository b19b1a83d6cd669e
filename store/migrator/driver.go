package migrator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// versionTable is golang-migrate's table with the version of the schema.
	versionTable = "schema_migrations"
	// lockPoll is the time between attempts to lock the schema.
	lockPoll = 200 * time.Millisecond
	// lockReport is how long New waits for the lock before it logs who has it, and the time between calls of onWait.
	lockReport = 2 * time.Second
	closeLimit = 5 * time.Second
)

// driver is a database driver of golang-migrate that commits a migration and its version together. Those of the library
// commit the version twice, before the migration as dirty and after it.
type driver struct {
	conn   *pgx.Conn
	logger *slog.Logger
	schema string // schema of versionTable
	onWait func(holders string)

	// ctx is that of the current call of the Migrator, because the methods of the library's interface have none.
	ctx     context.Context //nolint:containedctx // see above
	tx      pgx.Tx          // transaction of the current migration, nil for none
	target  int             // version after the current migration
	started time.Time
}

// prepare locks the schema and creates versionTable.
func (d *driver) prepare(ctx context.Context) error {
	d.ctx = ctx
	// The database then notices within a second that this program was killed, and rolls back. Without it, a statement
	// runs to its end first. Not every system supports it.
	_, _ = d.conn.Exec(ctx, `SET client_connection_check_interval = '1s'`)
	var name string
	if err := d.conn.QueryRow(ctx, `SELECT current_database(), coalesce(current_schema(), 'public')`).
		Scan(&name, &d.schema); err != nil {
		return fmt.Errorf("look up the schema: %w", err)
	}
	if err := d.lock(ctx, name); err != nil {
		return err
	}
	var exists bool
	if err := d.conn.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, d.table()).Scan(&exists); err != nil {
		return fmt.Errorf("check for the table %s: %w", versionTable, err)
	}
	if exists { // then it need not be possible to create it
		return nil
	}
	if _, err := d.conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS `+d.table()+
		` (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)`); err != nil {
		return fmt.Errorf("create the table %s: %w", versionTable, err)
	}
	return nil
}

// table returns the quoted name of versionTable.
func (d *driver) table() string { return pgx.Identifier{d.schema, versionTable}.Sanitize() }

// lock takes the advisory lock that golang-migrate uses for the schema, so that earlier versions of snapwatch are
// excluded too. The lock belongs to the session, and ends with it.
func (d *driver) lock(ctx context.Context, name string) error {
	id, err := database.GenerateAdvisoryLockId(name, d.schema, versionTable)
	if err != nil {
		return fmt.Errorf("lock the schema: %w", err)
	}
	logged := false
	for reported := time.Now(); ; {
		var locked bool
		if err := d.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1::bigint)`, id).Scan(&locked); err != nil {
			return fmt.Errorf("lock the schema: %w", err)
		}
		if locked {
			d.onWait("")
			return nil
		}
		if time.Since(reported) >= lockReport {
			holders := d.lockHolders(ctx, id)
			d.onWait(holders)
			if !logged {
				d.logger.Warn("waiting for the lock of the schema, which another session holds", "holders", holders)
			}
			reported, logged = time.Now(), true
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lock the schema: another program migrates it (%s): %w",
				d.lockHolders(context.WithoutCancel(ctx), id), ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}

// lockHolders describes the sessions that hold the advisory lock.
func (d *driver) lockHolders(ctx context.Context, id string) string {
	ctx, cancel := context.WithTimeout(ctx, closeLimit)
	defer cancel()
	var holders string
	err := d.conn.QueryRow(ctx, `SELECT coalesce(string_agg(
			format('pid %s, user %s, application %s, since %s', pid, usename, application_name,
				to_char(backend_start, 'YYYY-MM-DD"T"HH24:MI:SSOF')),
			'; '), 'unknown')
		FROM pg_locks JOIN pg_stat_activity USING (pid)
		WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database = (
			SELECT oid FROM pg_database WHERE datname = current_database())
			AND (classid::bigint << 32) | objid::bigint = $1::bigint`, id).Scan(&holders)
	if err != nil {
		return "unknown"
	}
	return holders
}

// version returns the version of the schema, database.NilVersion for none.
func (d *driver) version(ctx context.Context) (version int, dirty bool, err error) {
	err = d.conn.QueryRow(ctx, `SELECT version, dirty FROM `+d.table()).Scan(&version, &dirty)
	if errors.Is(err, pgx.ErrNoRows) {
		return database.NilVersion, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read the schema's version: %w", err)
	}
	return version, dirty, nil
}

// setVersion writes the version of the schema. It replaces the row, because TRUNCATE would lock out other servers,
// which read the version.
func (d *driver) setVersion(ctx context.Context, tx pgx.Tx, version int) error {
	if _, err := tx.Exec(ctx, `DELETE FROM `+d.table()); err != nil {
		return fmt.Errorf("write the schema's version: %w", err)
	}
	if version < 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `INSERT INTO `+d.table()+` (version, dirty) VALUES ($1, false)`, version); err != nil {
		return fmt.Errorf("write the schema's version: %w", err)
	}
	return nil
}

// Version returns the version of the schema.
func (d *driver) Version() (version int, dirty bool, err error) { return d.version(d.ctx) }

// SetVersion begins the transaction of a migration if dirty is true, and else commits it with the version.
func (d *driver) SetVersion(version int, dirty bool) (err error) {
	if dirty {
		d.target, d.started = version, time.Now()
		d.tx, err = d.conn.Begin(d.ctx)
		return err
	}
	if d.tx == nil {
		return errors.New("no migration has begun")
	}
	if err := d.setVersion(d.ctx, d.tx, version); err != nil {
		return errors.Join(err, d.rollBack())
	}
	tx := d.tx
	d.tx = nil
	if err := tx.Commit(d.ctx); err != nil {
		return fmt.Errorf("commit the migration to version %d: %w", max(version, 0), err)
	}
	took := time.Since(d.started).Round(time.Millisecond)
	d.logger.Info("migrated the schema", "version", max(version, 0), "took", took)
	return nil
}

// Run executes the statements of a migration in its transaction. If one fails, it rolls back.
func (d *driver) Run(migration io.Reader) error {
	text, err := io.ReadAll(migration)
	if err != nil {
		return errors.Join(fmt.Errorf("read the migration to version %d: %w", max(d.target, 0), err), d.rollBack())
	}
	if err := d.execute(d.ctx, d.tx, string(text)); err != nil {
		err = fmt.Errorf("migration to version %d: %w", max(d.target, 0), err)
		return errors.Join(err, d.rollBack())
	}
	return nil
}

// execute executes statements. An error of the database names the line.
func (d *driver) execute(ctx context.Context, tx pgx.Tx, statements string) error {
	if strings.TrimSpace(statements) == "" {
		return nil
	}
	_, err := tx.Exec(ctx, statements)
	failure, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || failure.Position < 1 {
		return err
	}
	runes := []rune(statements)
	before := string(runes[:min(int(failure.Position)-1, len(runes))])
	return fmt.Errorf("line %d: %w", strings.Count(before, "\n")+1, err)
}

// rollBack rolls back the current migration. The database does it by itself if the connection is closed.
func (d *driver) rollBack() error {
	tx := d.tx
	d.tx = nil
	if tx == nil || d.conn.IsClosed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), closeLimit)
	defer cancel()
	return tx.Rollback(ctx)
}

// Lock does nothing: prepare has locked the schema.
func (d *driver) Lock() error { return nil }

// Unlock does nothing: Close unlocks the schema.
func (d *driver) Unlock() error { return nil }

// Open is not supported: Migrator opens the connection.
func (d *driver) Open(string) (database.Driver, error) { return nil, errors.ErrUnsupported }

// Drop is not supported: the migrations remove what they have created.
func (d *driver) Drop() error { return errors.ErrUnsupported }

// Close rolls back an open migration and closes the connection, which unlocks the schema.
func (d *driver) Close() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), closeLimit)
	defer cancel()
	if err := d.conn.Close(ctx); err != nil {
		return fmt.Errorf("close the connection: %w", err)
	}
	return nil
}
