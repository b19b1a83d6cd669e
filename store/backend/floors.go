package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A rollup bucket is computed again when its source changes, for example when late data arrives. If a part of the
// source has been dropped by then, the new bucket lacks that part. Both profiles therefore keep this invariant:
//
//	A bucket is only computed from a source that is complete for the whole bucket.
//
// The floor of a relation is the time from which it is complete: nothing at or after the floor was ever dropped. A
// floor only moves forward. Retention, the disk budget and the length of the retention do not move it back. These
// rules keep the invariant:
//
//   - Earlier versions dropped data without recording floors. Migration 0017 finds out what is complete.
//   - DropBefore drops a partition or chunk only after everything computed from it is up to date. It moves the floor
//     first, in a transaction, and drops afterwards.
//   - The transaction that moves a floor waits for the writers of late data, and then checks again what is up to date
//     (lockFloors). Writers that begin later read the new floor and refuse what is before it (LockAcceptFrom).
//   - In the timescale profile, no refresh window begins before the floor of the source, neither that of a job of
//     TimescaleDB (policiesOf) nor that of a refresh by this server (refreshWindow). Moving a floor shortens the
//     jobs' windows in the same transaction. DropBefore does not drop while a refresh is running that may have begun
//     before that.
//   - In the postgres profile, DropBefore does not drop anything for which rollup_marks has a mark. Marks before the
//     floor are not computed (discardMarks).
//   - Snapshots before CompleteFrom are neither accepted nor read (query.Queries.Horizon).
//
// A bucket is (start, end], so a snapshot exactly at a floor belongs to a bucket before it and is refused as well.

const (
	// floorsKey is the key of the floors in the table settings.
	floorsKey = "complete_from"
	// shareFloors and excludeWriters are the locks of the floors. Writers of late data share the first, and moving a
	// floor excludes them with the second. They are locks of a table, because every role of a database can take
	// advisory locks, but only those with rights to a table can lock it. Reading settings waits for neither, and
	// changing one only waits for the second.
	shareFloors    = `LOCK TABLE settings IN ROW SHARE MODE`
	excludeWriters = `LOCK TABLE settings IN EXCLUSIVE MODE`
)

// floors are the floors of relations. A relation that is missing is complete.
type floors map[string]time.Time

// bucketWidths are the widths of the buckets of rollups.
var bucketWidths = map[string]time.Duration{
	"machine_1m": time.Minute, "machine_1h": time.Hour, "process_1h": time.Hour,
	"machine_3h": 3 * time.Hour, "process_3h": 3 * time.Hour,
	"machine_1d": 24 * time.Hour, "process_1d": 24 * time.Hour,
	"short_lived_1h": time.Hour, "short_lived_1d": 24 * time.Hour,
}

// bucketStart returns the start of the first bucket of a rollup that begins at or after t.
func bucketStart(rollup string, t time.Time) time.Time {
	width := bucketWidths[rollup]
	down := bucketBefore(rollup, t)
	if down.Before(t) {
		return down.Add(width)
	}
	return down
}

// bucketBefore returns the start of the bucket of a rollup that contains t.
func bucketBefore(rollup string, t time.Time) time.Time {
	return t.UTC().Add(-bucketOffset).Truncate(bucketWidths[rollup]).Add(bucketOffset)
}

// dependents returns the rollups that are computed from a relation.
func dependents(sources map[string]string, relation string) []string {
	var list []string
	for _, rollup := range Rollups {
		if sources[rollup] == relation {
			list = append(list, rollup)
		}
	}
	return list
}

// from returns the latest start of the first buckets of all rollups, or zero if nothing was dropped. first returns that
// of a rollup, for the floor of its source.
func (f floors) from(sources map[string]string, first func(rollup string, floor time.Time) time.Time) time.Time {
	var from time.Time
	for rollup, source := range sources {
		floor, ok := f[source]
		if !ok {
			continue
		}
		if start := first(rollup, floor); start.After(from) {
			from = start
		}
	}
	return from
}

// querier is a pool, a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// readFloors returns the recorded floors.
func readFloors(ctx context.Context, db querier) (floors, error) {
	recorded := floors{}
	_, err := readSetting(ctx, db, floorsKey, &recorded)
	return recorded, err
}

// readSetting decodes a setting of the database. It returns false if there is no such setting.
func readSetting(ctx context.Context, db querier, key string, value any) (bool, error) {
	var text []byte
	err := db.QueryRow(ctx, `SELECT value FROM settings WHERE key = $1`, key).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, value)
	}
	if err != nil {
		return false, fmt.Errorf("read the setting %s: %w", key, err)
	}
	return true, nil
}

// lockSetting locks the row of a setting until the end of the transaction. It inserts a missing row.
func lockSetting(ctx context.Context, tx pgx.Tx, key, initial string) error {
	_, err := tx.Exec(ctx, `INSERT INTO settings (key, value) VALUES ($1, $2)
		ON CONFLICT (key) DO UPDATE SET value = settings.value`, key, initial)
	return err
}

// writeSetting changes a setting that exists.
func writeSetting(ctx context.Context, tx pgx.Tx, key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE settings SET value = $2 WHERE key = $1`, key, string(text))
	return err
}

// lockFloors returns the floors, to be moved. It waits until the writers of late data have committed, and lets no other
// begin before the end of the transaction.
func lockFloors(ctx context.Context, tx pgx.Tx) (floors, error) {
	if _, err := tx.Exec(ctx, excludeWriters); err != nil {
		return nil, err
	}
	if err := lockSetting(ctx, tx, floorsKey, "{}"); err != nil {
		return nil, err
	}
	return readFloors(ctx, tx)
}

// raise moves the floor of a relation forward to t. The floors must be locked.
func (f floors) raise(ctx context.Context, tx pgx.Tx, relation string, t time.Time) error {
	if !t.After(f[relation]) {
		return nil
	}
	f[relation] = t.UTC()
	return writeSetting(ctx, tx, floorsKey, f)
}

// span is the time [from, to) of a partition or chunk.
type span struct{ from, to time.Time }

// maintenance is the part of a backend that both profiles share.
type maintenance struct {
	logger   *slog.Logger
	sources  map[string]string
	deferred atomic.Bool
	// firstBucket returns the start of the first bucket of a rollup that may be computed, for the floor of its source.
	firstBucket func(rollup string, floor time.Time) time.Time

	floorsMu     sync.Mutex
	completeFrom time.Time
	known        floors
}

// CompleteFrom implements Backend.
func (m *maintenance) CompleteFrom() time.Time {
	m.floorsMu.Lock()
	defer m.floorsMu.Unlock()
	return m.completeFrom
}

// DroppedBefore implements Backend.
func (m *maintenance) DroppedBefore(relation string) time.Time {
	m.floorsMu.Lock()
	defer m.floorsMu.Unlock()
	return m.known[relation]
}

// LockAcceptFrom implements Backend.
func (m *maintenance) LockAcceptFrom(ctx context.Context, tx pgx.Tx) (time.Time, error) {
	if _, err := tx.Exec(ctx, shareFloors); err != nil {
		return time.Time{}, err
	}
	complete, err := readFloors(ctx, tx) // not in one statement: it must see what was committed before the lock
	if err != nil {
		return time.Time{}, err
	}
	m.setFloors(complete)
	return complete.from(m.sources, m.firstBucket), nil
}

// setFloors updates the cache of CompleteFrom and DroppedBefore.
func (m *maintenance) setFloors(complete floors) {
	from := complete.from(m.sources, bucketStart)
	m.floorsMu.Lock()
	defer m.floorsMu.Unlock()
	if from.After(m.completeFrom) {
		m.completeFrom = from
	}
	if m.known == nil {
		m.known = floors{}
	}
	for relation, floor := range complete {
		if floor.After(m.known[relation]) {
			m.known[relation] = floor
		}
	}
}

// loadFloors reads the floors that this or another server has moved.
func (m *maintenance) loadFloors(ctx context.Context, db querier) error {
	complete, err := readFloors(ctx, db)
	if err == nil {
		m.setFloors(complete)
	}
	return err
}

// deferWork records that a part of the maintenance must be done again soon.
func (m *maintenance) deferWork(reason string, args ...any) {
	m.deferred.Store(true)
	m.logger.Info(reason+", retrying in a minute", args...)
}

// Deferred implements Backend.
func (m *maintenance) Deferred() bool { return m.deferred.Swap(false) }

// lockTimeout is how long maintenance waits for a lock. New readers and writers wait behind it. So it gives up after
// that, and retries in the next round.
const lockTimeout = "500ms"

// withLockTimeout runs a transaction that waits for locks no longer than lockTimeout.
func withLockTimeout(ctx context.Context, db interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}, do func(pgx.Tx) error,
) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '`+lockTimeout+`'`); err != nil {
			return err
		}
		return do(tx)
	})
}

// shortenLockTimeout makes the statements of a connection wait for locks no longer than lockTimeout, until restore is
// called. It is for statements that must not be in a transaction.
func shortenLockTimeout(ctx context.Context, conn *pgxpool.Conn) (restore func(), err error) {
	var before string
	if err := conn.QueryRow(ctx, `SELECT current_setting('lock_timeout')`).Scan(&before); err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `SET lock_timeout = '`+lockTimeout+`'`); err != nil {
		return nil, err
	}
	return func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), `SELECT set_config('lock_timeout', $1, false)`, before)
	}, nil
}

// IsLockTimeout reports whether a lock was not available in time.
func IsLockTimeout(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "55P03"
}
