package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
)

// postgres keeps each series in native partitions of one day, and rollups
// in tables that it fills itself.
type postgres struct {
	pool   *pgxpool.Pool
	logger *slog.Logger

	mu    sync.Mutex
	known map[string]bool // partitions that exist
}

func newPostgres(pool *pgxpool.Pool, logger *slog.Logger) *postgres {
	return &postgres{pool: pool, logger: logger, known: make(map[string]bool)}
}

func (p *postgres) Name() string { return Postgres }

// tableOf returns the partitioned table behind a relation.
func tableOf(relation string) string {
	if slices.Contains(Rollups, relation) {
		return relation + "_done"
	}
	return relation
}

// period is the time that one partition holds.
type period struct {
	layout string // of its begin, in the partition's name
	next   func(time.Time) time.Time
}

var (
	daily   = period{"20060102", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }}
	monthly = period{"200601", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }}
)

// periodOf returns days for what grows with every snapshot, and months for the
// rollups, which are small and kept for years.
func periodOf(relation string) period {
	if slices.Contains(Series, relation) || relation == "machine_1m" {
		return daily
	}
	return monthly
}

// begin returns the start of the period that t is in.
func (p period) begin(t time.Time) time.Time {
	from, err := time.Parse(p.layout, t.UTC().Format(p.layout))
	if err != nil {
		panic(err) // a layout that cannot read what it has written
	}
	return from
}

func (p *postgres) EnsurePartitions(ctx context.Context, days []time.Time) error {
	return p.ensureRelations(ctx, Series, days)
}

func (p *postgres) ensureRelations(ctx context.Context, relations []string, days []time.Time) error {
	for _, day := range days {
		for _, relation := range relations {
			unit := periodOf(relation)
			from := unit.begin(day)
			name := tableOf(relation) + "_" + from.Format(unit.layout)
			p.mu.Lock()
			known := p.known[name]
			p.mu.Unlock()
			if known {
				continue
			}
			if err := p.make(ctx, tableOf(relation), name, from, unit.next(from)); err != nil {
				return fmt.Errorf("make partition %s: %w", name, err)
			}
			p.mu.Lock()
			p.known[name] = true
			p.mu.Unlock()
		}
	}
	return nil
}

func (p *postgres) InvalidatePartitions() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.known)
}

func (p *postgres) CreateAhead(ctx context.Context, now time.Time) (int, error) {
	var days []time.Time
	for i := range daysAhead + 1 {
		days = append(days, StartOfDay(now).AddDate(0, 0, i))
	}
	if err := p.ensureRelations(ctx, slices.Concat(Series, Rollups), days); err != nil {
		return 0, err
	}
	return daysAhead, nil
}

// make attaches a partition. A table is made first and attached then, because
// CREATE … PARTITION OF would lock out readers and writers.
func (p *postgres) make(ctx context.Context, parent, name string, from, to time.Time) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, partitionLock); err != nil {
			return err
		}
		var exists bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_inherits WHERE inhparent = $1::text::regclass AND inhrelid = to_regclass($2::text))`, parent, name).Scan(&exists); err != nil {
			return err
		}
		if exists {
			return nil
		}
		// A table of that name that is not attached is what an interrupted drop left.
		_, err := tx.Exec(ctx, fmt.Sprintf(`DROP TABLE IF EXISTS %[1]s;
			CREATE TABLE %[1]s (LIKE %[2]s INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
			ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES FROM ('%[3]s') TO ('%[4]s')`,
			name, parent, from.Format(time.RFC3339), to.Format(time.RFC3339)))
		return err
	})
}

// dropBefore detaches concurrently, so that readers of a partition finish in
// peace and no new query waits behind them, and drops what is detached.
func (p *postgres) DropBefore(ctx context.Context, relation string, cutoff time.Time) (int, error) {
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
	all, err := p.partitions(ctx, conn.Conn(), relation)
	if err != nil {
		return dropped, err
	}
	for _, partition := range all {
		if partition.to.After(cutoff) {
			continue
		}
		p.forget(partition.name)
		if err := p.drop(ctx, conn.Conn(), tableOf(relation), partition); err != nil {
			return dropped, fmt.Errorf("drop partition %s: %w", partition.name, err)
		}
		p.logger.Info("dropped a partition", "partition", partition.name)
		dropped++
	}
	return dropped, nil
}

func (p *postgres) Oldest(ctx context.Context, relation string) (from, to time.Time, err error) {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return from, to, fmt.Errorf("get a connection: %w", err)
	}
	defer conn.Release()
	all, err := p.partitions(ctx, conn.Conn(), relation)
	if err != nil || len(all) == 0 {
		return from, to, err
	}
	return all[0].from, all[0].to, nil
}

type partition struct {
	name     string
	from, to time.Time
	attached bool
	pending  bool // a concurrent detach was interrupted
}

// partitions lists those of a relation, the oldest first, with those that an
// interrupted drop has left detached.
func (p *postgres) partitions(ctx context.Context, conn *pgx.Conn, relation string) ([]partition, error) {
	table, unit := tableOf(relation), periodOf(relation)
	rows, err := conn.Query(ctx, `
		SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false)
		FROM pg_class c
		LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = $1::text::regclass
		WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = $1::text::regclass)
		  AND c.relname ~ ('^' || $1 || '_[0-9]+$')
		ORDER BY c.relname`, table)
	if err != nil {
		return nil, fmt.Errorf("list partitions of %s: %w", table, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (partition, error) {
		var found partition
		err := row.Scan(&found.name, &found.attached, &found.pending)
		return found, err
	})
	if err != nil {
		return nil, fmt.Errorf("list partitions of %s: %w", table, err)
	}
	known := all[:0]
	for _, found := range all {
		if found.from, err = time.Parse(unit.layout, strings.TrimPrefix(found.name, table+"_")); err == nil {
			found.to = unit.next(found.from)
			known = append(known, found)
		}
	}
	return known, nil
}

func (p *postgres) drop(ctx context.Context, conn *pgx.Conn, parent string, partition partition) error {
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

func (p *postgres) forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, name)
}

// IsMissingPartition reports an insert for whose instant there is no partition:
// another server dropped it after we looked.
func IsMissingPartition(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "23514" && strings.Contains(pgErr.Message, "no partition of relation")
}
