package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// daysAhead is how many days have their partitions before they begin.
	daysAhead = 3
	// partitionLock serialises the making and dropping of partitions among servers.
	partitionLock = 7_265_101
	partitionDay  = "20060102"
)

// postgresProfile keeps each series in native partitions of one day.
type postgresProfile struct {
	pool   *pgxpool.Pool
	logger *slog.Logger

	mu    sync.Mutex
	known map[string]bool // days with partitions
}

func newPostgresProfile(pool *pgxpool.Pool, logger *slog.Logger) *postgresProfile {
	return &postgresProfile{pool: pool, logger: logger, known: make(map[string]bool)}
}

func (p *postgresProfile) name() string { return "postgres" }

func (p *postgresProfile) ensure(ctx context.Context, days []time.Time) error {
	for _, day := range days {
		suffix := day.UTC().Format(partitionDay)
		p.mu.Lock()
		known := p.known[suffix]
		p.mu.Unlock()
		if known {
			continue
		}
		if err := p.make(ctx, day); err != nil {
			return fmt.Errorf("make partitions of %s: %w", suffix, err)
		}
		p.mu.Lock()
		p.known[suffix] = true
		p.mu.Unlock()
	}
	return nil
}

func (p *postgresProfile) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.known)
}

func (p *postgresProfile) ahead(ctx context.Context, now time.Time) (int, error) {
	var days []time.Time
	for i := range daysAhead + 1 {
		days = append(days, midnight(now).AddDate(0, 0, i))
	}
	if err := p.ensure(ctx, days); err != nil {
		return 0, err
	}
	return daysAhead, nil
}

// make attaches the four partitions of a day. A table is made first and attached
// then, because CREATE … PARTITION OF would lock out readers and writers.
func (p *postgresProfile) make(ctx context.Context, day time.Time) error {
	from := midnight(day)
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, partitionLock); err != nil {
			return err
		}
		for _, parent := range series {
			name := parent + "_" + from.Format(partitionDay)
			var exists bool
			if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_inherits WHERE inhparent = $1::text::regclass AND inhrelid = to_regclass($2::text))`, parent, name).Scan(&exists); err != nil {
				return err
			}
			if exists {
				continue
			}
			// A table of that name that is not attached is what an interrupted drop left.
			statement := fmt.Sprintf(`DROP TABLE IF EXISTS %[1]s;
				CREATE TABLE %[1]s (LIKE %[2]s INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
				ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES FROM ('%[3]s') TO ('%[4]s')`,
				name, parent, from.Format(time.RFC3339), from.AddDate(0, 0, 1).Format(time.RFC3339))
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropBefore detaches concurrently, so that readers of a partition finish in
// peace and no new query waits behind them, and drops what is detached.
func (p *postgresProfile) dropBefore(ctx context.Context, cutoff time.Time) (int, error) {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return 0, fmt.Errorf("get a connection: %w", err)
	}
	defer conn.Release()
	var locked bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, partitionLock).Scan(&locked); err != nil {
		return 0, fmt.Errorf("lock the partitions: %w", err)
	}
	if !locked {
		return 0, nil // another server is at it
	}
	defer func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, partitionLock)
	}()
	dropped := 0
	for _, parent := range series {
		expired, err := p.expired(ctx, conn.Conn(), parent, cutoff)
		if err != nil {
			return dropped, err
		}
		for _, partition := range expired {
			p.forget(parent, partition.name)
			if err := p.drop(ctx, conn.Conn(), parent, partition); err != nil {
				return dropped, fmt.Errorf("drop partition %s: %w", partition.name, err)
			}
			p.logger.Info("dropped a partition", "partition", partition.name)
			dropped++
		}
	}
	return dropped, nil
}

type partition struct {
	name     string
	attached bool
	pending  bool // a concurrent detach was interrupted
}

// expired lists the partitions of parent that end at or before cutoff, with
// those that an interrupted drop has left detached.
func (p *postgresProfile) expired(ctx context.Context, conn *pgx.Conn, parent string, cutoff time.Time) ([]partition, error) {
	rows, err := conn.Query(ctx, `
		SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false)
		FROM pg_class c
		LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = $1::text::regclass
		WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = $1::text::regclass)
		  AND c.relname ~ ('^' || $1 || '_[0-9]{8}$')
		ORDER BY c.relname`, parent)
	if err != nil {
		return nil, fmt.Errorf("list partitions of %s: %w", parent, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (partition, error) {
		var found partition
		err := row.Scan(&found.name, &found.attached, &found.pending)
		return found, err
	})
	if err != nil {
		return nil, fmt.Errorf("list partitions of %s: %w", parent, err)
	}
	var expired []partition
	for _, found := range all {
		day, err := time.Parse(partitionDay, strings.TrimPrefix(found.name, parent+"_"))
		if err == nil && !day.AddDate(0, 0, 1).After(cutoff) {
			expired = append(expired, found)
		}
	}
	return expired, nil
}

func (p *postgresProfile) drop(ctx context.Context, conn *pgx.Conn, parent string, partition partition) error {
	if partition.attached {
		mode := "CONCURRENTLY"
		if partition.pending {
			mode = "FINALIZE"
		}
		if _, err := conn.Exec(ctx, fmt.Sprintf(`ALTER TABLE %s DETACH PARTITION %s %s`, parent, partition.name, mode)); err != nil {
			return err
		}
	}
	_, err := conn.Exec(ctx, `DROP TABLE IF EXISTS `+partition.name)
	return err
}

func (p *postgresProfile) forget(parent, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, strings.TrimPrefix(name, parent+"_"))
}

// midnight returns the start of t's day, UTC.
func midnight(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// isMissingPartition reports an insert for whose instant there is no partition:
// another server dropped it after we looked.
func isMissingPartition(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "23514" && strings.Contains(pgErr.Message, "no partition of relation")
}
