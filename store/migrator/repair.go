package migrator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Repair finds out which version a dirty schema has, and records it. Up, Down and To do this by themselves.
//
// Earlier versions of snapwatch marked version n as dirty before a migration to n, and as clean after it, in separate
// transactions. The migration itself was one transaction. If it was interrupted, the schema therefore has version n, or
// the version before the migration: n-1 for one upwards, n+1 for one downwards. A migration upwards that can be
// executed has not been applied, so Repair tries them, and rolls back.
func (m *Migrator) Repair(ctx context.Context, profile string) error {
	m.driver.ctx = ctx
	dirtyVersion, dirty, err := m.driver.version(ctx)
	if err != nil || !dirty {
		return err
	}
	version, err := m.findVersion(ctx, profile, dirtyVersion)
	if err != nil {
		return fmt.Errorf("repair the schema's version, which is %d and dirty: %w", max(dirtyVersion, 0), err)
	}
	tx, err := m.driver.conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("repair the schema's version: %w", err)
	}
	if err := errors.Join(m.driver.setVersion(ctx, tx, version), tx.Commit(ctx)); err != nil {
		return fmt.Errorf("repair the schema's version: %w", err)
	}
	m.logger.Warn("a migration was interrupted before; continuing from the version that the schema has",
		"dirty_version", max(dirtyVersion, 0), "version", max(version, 0))
	return nil
}

// findVersion returns the version that a schema has which is dirty at a version.
func (m *Migrator) findVersion(ctx context.Context, profile string, dirty int) (int, error) {
	files, err := openSource(profile)
	if err != nil {
		return 0, err
	}
	defer func() { _ = files.Close() }()
	first, err := files.First()
	if err != nil {
		return 0, err
	}
	next, before := first, database.NilVersion
	if dirty >= 0 {
		applicable, err := m.applicable(ctx, profile, uint(dirty))
		if err != nil {
			return 0, err
		}
		if applicable {
			if previous, err := files.Prev(uint(dirty)); err == nil {
				before = int(previous)
			}
			return before, nil
		}
		if next, err = files.Next(uint(dirty)); errors.Is(err, fs.ErrNotExist) {
			return dirty, nil
		} else if err != nil {
			return 0, err
		}
	}
	applicable, err := m.applicable(ctx, profile, next)
	if err != nil || applicable {
		return dirty, err
	}
	return int(next), nil
}

// applicable reports whether a migration upwards can be executed. It rolls back what it executes.
func (m *Migrator) applicable(ctx context.Context, profile string, version uint) (bool, error) {
	files, err := openSource(profile)
	if err != nil {
		return false, err
	}
	defer func() { _ = files.Close() }()
	body, _, err := files.ReadUp(version)
	if err != nil {
		return false, err
	}
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(body)
	if err != nil {
		return false, fmt.Errorf("read the migration to version %d: %w", version, err)
	}
	tx, err := m.driver.conn.Begin(ctx)
	if err != nil {
		return false, err
	}
	executeErr := m.driver.execute(ctx, tx, string(text))
	if err := tx.Rollback(ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		return false, err
	}
	if isApplied(executeErr) {
		return false, nil
	}
	return executeErr == nil, executeErr
}

// isApplied reports whether a migration failed because it has been applied before: what it creates exists, or what it
// replaces does not or is in use. Those are SQLSTATEs of class 42, besides missing rights, and a few of other
// classes.
func isApplied(err error) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch failure.Code {
	case pgerrcode.InsufficientPrivilege:
		return false
	case pgerrcode.UniqueViolation, pgerrcode.DependentObjectsStillExist, timescaleHypertableExists:
		return true
	}
	return pgerrcode.IsSyntaxErrororAccessRuleViolation(failure.Code)
}

// timescaleHypertableExists is a SQLSTATE of TimescaleDB.
const timescaleHypertableExists = "TS110"
