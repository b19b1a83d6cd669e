package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/store/backend"
)

// Detection is the storage profile of a database, and the reason for it.
type Detection struct {
	Profile string
	Reason  string
}

// The minimum version of TimescaleDB for the timescale profile.
const minTimescaleMajor, minTimescaleMinor = 2, 18

// Detect returns the profile of a database: the one that it was created with, or else want. If want is
// "auto", the profile is timescale if a Community edition of TimescaleDB is available, else postgres.
// Detect creates the extension if the profile needs it. It returns an error if want is not possible.
func Detect(ctx context.Context, databaseURL, want string) (Detection, error) {
	conn, err := connect(ctx, databaseURL, "snapwatch")
	if err != nil {
		return Detection{}, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	created, err := createdProfile(ctx, conn)
	if err != nil {
		return Detection{}, err
	}
	if want != "" && want != "auto" && created != "" && want != created {
		return Detection{}, fmt.Errorf(
			"the database was created with the %s profile and cannot be changed to %s", created, want,
		)
	}
	if want == backend.Postgres {
		return Detection{backend.Postgres, "set by the profile setting"}, nil
	}
	usable, reason, err := timescaleUsable(ctx, conn, created != backend.Postgres)
	switch {
	case err != nil:
		return Detection{}, err
	case created == backend.Postgres:
		if usable {
			reason += " is available; docs/storage.md describes how to migrate to it"
		}
		return Detection{created, "the database was created with it; " + reason}, nil
	case usable:
		return Detection{backend.Timescale, reason}, nil
	case created == backend.Timescale || want == backend.Timescale:
		return Detection{}, fmt.Errorf("cannot use the timescale profile: %s", reason)
	}
	return Detection{backend.Postgres, reason}, nil
}

// createdProfile returns the profile that the database was created with, "" for none.
func createdProfile(ctx context.Context, conn *pgx.Conn) (string, error) {
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('settings') IS NOT NULL`).Scan(&exists); err != nil {
		return "", fmt.Errorf("check for the table settings: %w", err)
	}
	if !exists {
		return "", nil
	}
	var name string
	err := conn.QueryRow(ctx, `SELECT value FROM settings WHERE key = 'profile'`).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the storage profile: %w", err)
	}
	return name, nil
}

// timescaleUsable reports whether a Community edition of TimescaleDB in a supported version is available,
// and the reason.
func timescaleUsable(ctx context.Context, conn *pgx.Conn, create bool) (bool, string, error) {
	var available, installed *string
	err := conn.QueryRow(ctx, `SELECT default_version, installed_version FROM pg_available_extensions WHERE name = 'timescaledb'`).
		Scan(&available, &installed)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && available == nil {
		return false, "the timescaledb extension is not available", nil
	}
	if err != nil {
		return false, "", fmt.Errorf("check for the timescaledb extension: %w", err)
	}
	if installed == nil {
		if !create {
			return true, "TimescaleDB " + *available, nil
		}
		if err := createExtension(ctx, conn.Config()); err != nil {
			reason := "cannot create the timescaledb extension: " + err.Error()
			return false, reason, nil //nolint:nilerr // the error is the reason
		}
		installed = available
	}
	if !recentEnough(*installed) {
		return false, fmt.Sprintf(
			"TimescaleDB %s is older than %d.%d", *installed, minTimescaleMajor, minTimescaleMinor,
		), nil
	}
	var license *string
	if err := conn.QueryRow(ctx, `SELECT current_setting('timescaledb.license', true)`).Scan(&license); err != nil {
		return false, "", fmt.Errorf("read TimescaleDB's license: %w", err)
	}
	if license == nil || *license != "timescale" {
		reason := "TimescaleDB " + *installed + " is the Apache edition, which lacks compression and " +
			"continuous aggregates"
		return false, reason, nil
	}
	return true, "TimescaleDB " + *installed + " Community", nil
}

// createExtension uses a connection of its own, because the server closes it if the extension is not in
// shared_preload_libraries.
func createExtension(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, `CREATE EXTENSION IF NOT EXISTS timescaledb`)
	return err
}

// recentEnough reports whether a version of TimescaleDB is supported.
func recentEnough(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err := strconv.Atoi(parts[0])
	minor, minorErr := strconv.Atoi(parts[1])
	return err == nil && minorErr == nil &&
		(major > minTimescaleMajor || major == minTimescaleMajor && minor >= minTimescaleMinor)
}
