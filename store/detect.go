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

// Detection is the storage profile of a database, and why it is that.
type Detection struct {
	Profile string
	Reason  string
}

// The least version of TimescaleDB that the timescale profile works on.
const leastTimescaleMajor, leastTimescaleMinor = 2, 18

// Detect tells the profile of a database: the one it was made with, or else the
// one that want names ("auto": timescale if a Community TimescaleDB can be used,
// else postgres). It makes the extension where the profile needs it. A profile
// that is wanted and cannot be had is an error.
func Detect(ctx context.Context, databaseURL, want string) (Detection, error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return Detection{}, fmt.Errorf("parse database URL: %w", redact(err))
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return Detection{}, fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	made, err := madeWith(ctx, conn)
	if err != nil {
		return Detection{}, err
	}
	if want != "" && want != "auto" && made != "" && want != made {
		return Detection{}, fmt.Errorf(
			"the database was made with the %s profile; %s cannot be forced on it", made, want,
		)
	}
	if want == backend.Postgres {
		return Detection{backend.Postgres, "forced by the profile setting"}, nil
	}
	usable, reason, err := timescaleUsable(ctx, conn, made != backend.Postgres)
	switch {
	case err != nil:
		return Detection{}, err
	case made == backend.Postgres:
		if usable {
			reason += " is available; docs/storage.md tells how to move to it"
		}
		return Detection{made, "the database was made with it; " + reason}, nil
	case usable:
		return Detection{backend.Timescale, reason}, nil
	case made == backend.Timescale || want == backend.Timescale:
		return Detection{}, fmt.Errorf("the timescale profile cannot be used: %s", reason)
	}
	return Detection{backend.Postgres, reason}, nil
}

// madeWith returns the profile that the database was migrated with, "" for none.
func madeWith(ctx context.Context, conn *pgx.Conn) (string, error) {
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('settings') IS NOT NULL`).Scan(&exists); err != nil {
		return "", fmt.Errorf("look for the settings: %w", err)
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

// timescaleUsable tells whether a Community TimescaleDB of a known version works
// in this database, with the reason for either answer.
func timescaleUsable(ctx context.Context, conn *pgx.Conn, create bool) (bool, string, error) {
	var available, installed *string
	err := conn.QueryRow(ctx, `SELECT default_version, installed_version FROM pg_available_extensions WHERE name = 'timescaledb'`).
		Scan(&available, &installed)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && available == nil {
		return false, "the timescaledb extension is not available", nil
	}
	if err != nil {
		return false, "", fmt.Errorf("look for the timescaledb extension: %w", err)
	}
	if installed == nil {
		if !create {
			return true, "TimescaleDB " + *available, nil
		}
		if err := createExtension(ctx, conn.Config()); err != nil {
			return false, "the timescaledb extension is available but cannot be made: " + err.Error(), nil //nolint:nilerr // that is the answer
		}
		installed = available
	}
	if !recentEnough(*installed) {
		return false, fmt.Sprintf(
			"TimescaleDB %s is older than %d.%d", *installed, leastTimescaleMajor, leastTimescaleMinor,
		), nil
	}
	var license *string
	if err := conn.QueryRow(ctx, `SELECT current_setting('timescaledb.license', true)`).Scan(&license); err != nil {
		return false, "", fmt.Errorf("read TimescaleDB's license: %w", err)
	}
	if license == nil || *license != "timescale" {
		return false, "TimescaleDB " + *installed + " is an Apache build, without compression and continuous aggregates", nil
	}
	return true, "TimescaleDB " + *installed + " Community", nil
}

// createExtension works on a connection apart: where the extension is not in
// shared_preload_libraries, the attempt ends the connection.
func createExtension(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, `CREATE EXTENSION IF NOT EXISTS timescaledb`)
	return err
}

func recentEnough(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err := strconv.Atoi(parts[0])
	minor, minorErr := strconv.Atoi(parts[1])
	return err == nil && minorErr == nil &&
		(major > leastTimescaleMajor || major == leastTimescaleMajor && minor >= leastTimescaleMinor)
}
