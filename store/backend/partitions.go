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

	"github.com/snapwatch/snapwatch/store/schema"
)

const (
	// daysAhead is how many days in advance partitions are created.
	daysAhead = 3
	// partitionLock is the advisory lock for creating and dropping partitions.
	partitionLock = 7_265_101
)

// postgres stores each series in native partitions of one day, and fills the tables of the rollups
// itself.
type postgres struct {
	maintenance

	pool   *pgxpool.Pool
	logger *slog.Logger

	mu    sync.Mutex
	known map[string]bool // names of partitions that exist
}

func newPostgres(pool *pgxpool.Pool, logger *slog.Logger) *postgres {
	return &postgres{
		maintenance: maintenance{logger: logger, sources: postgresSources, firstBucket: bucketStart},
		pool:        pool, logger: logger, known: make(map[string]bool),
	}
}

// postgresSources names the relation that each rollup is computed from.
var postgresSources = map[string]string{
	"machine_1m": "snapshots", "machine_1h": "snapshots", "machine_3h": "machine_1h", "machine_1d": "machine_1h",
	"process_1h": "process_samples", "process_3h": "process_1h", "process_1d": "process_1h",
	"short_lived_1h": ShortLivedMinutes, "short_lived_1d": "short_lived_1h",
}

// Name implements Backend.
func (p *postgres) Name() string { return Postgres }

// ShortLivedTable implements Backend.
func (p *postgres) ShortLivedTable() *schema.ShortLivedTable { return schema.ShortLivedBatches }

// tableOf returns the partitioned table of a relation.
func tableOf(relation string) string {
	switch {
	case relation == ShortLived:
		return schema.ShortLivedBatches.Name
	case relation == ShortLivedMinutes:
		return schema.ShortLivedMinutes
	case slices.Contains(Rollups, relation):
		return relation + "_done"
	}
	return relation
}

// storageOf returns the storage parameters of the partitions of a table.
func storageOf(table string) string {
	if table == schema.ShortLivedMinutes {
		return ` WITH (fillfactor = 70)` // each snapshot updates rows of its minute: leave room for HOT updates
	}
	return ""
}

// period is the length of a partition.
type period struct {
	layout string // of the start time in a partition's name
	next   func(time.Time) time.Time
}

var (
	daily   = period{"20060102", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }}
	monthly = period{"200601", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }}
)

// periodOf returns daily for relations that grow with every snapshot, and monthly for the other
// rollups, which are small and kept for years.
func periodOf(relation string) period {
	if slices.Contains(Series, relation) || relation == "machine_1m" {
		return daily
	}
	return monthly
}

// start returns the start of the period that contains t.
func (p period) start(t time.Time) time.Time {
	from, err := time.Parse(p.layout, t.UTC().Format(p.layout))
	if err != nil {
		panic(err) // cannot happen: the layout parses its own output
	}
	return from
}

// EnsurePartitions implements Backend.
func (p *postgres) EnsurePartitions(ctx context.Context, series []string, days []time.Time) error {
	return p.ensureRelations(ctx, series, days)
}

func (p *postgres) ensureRelations(ctx context.Context, relations []string, days []time.Time) error {
	for _, day := range days {
		for _, relation := range relations {
			period := periodOf(relation)
			from := period.start(day)
			name := tableOf(relation) + "_" + from.Format(period.layout)
			p.mu.Lock()
			known := p.known[name]
			p.mu.Unlock()
			if known {
				continue
			}
			if err := p.create(ctx, tableOf(relation), name, from, period.next(from)); err != nil {
				return fmt.Errorf("create partition %s: %w", name, err)
			}
			p.mu.Lock()
			p.known[name] = true
			p.mu.Unlock()
		}
	}
	return nil
}

// InvalidatePartitions implements Backend.
func (p *postgres) InvalidatePartitions() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.known)
}

// CreateAhead implements Backend.
func (p *postgres) CreateAhead(ctx context.Context, now time.Time) (int, error) {
	var days []time.Time
	for i := range daysAhead + 1 {
		days = append(days, StartOfDay(now).AddDate(0, 0, i))
	}
	if err := p.ensureRelations(ctx, slices.Concat(Series, Rollups), days); err != nil {
		p.deferred.Store(IsLockTimeout(err))
		return 0, err
	}
	return daysAhead, nil
}

// create creates a table and attaches it as a partition. CREATE TABLE … PARTITION OF would lock out
// readers and writers. It waits for locks only briefly, because a writer may be waiting for the partition.
func (p *postgres) create(ctx context.Context, parent, name string, from, to time.Time) error {
	return withLockTimeout(ctx, p.pool, func(tx pgx.Tx) error {
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
		// An unattached table of this name is left over from an interrupted drop.
		_, err := tx.Exec(ctx, fmt.Sprintf(`DROP TABLE IF EXISTS %[1]s;
			CREATE TABLE %[1]s (LIKE %[2]s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMPRESSION)%[5]s;
			ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES FROM ('%[3]s') TO ('%[4]s')`,
			name, parent, from.Format(time.RFC3339), to.Format(time.RFC3339), storageOf(parent)))
		return err
	})
}

// KeptFor implements Backend.
func (p *postgres) KeptFor(keep Retention, relation string) time.Duration { return keep.For(relation) }

// LoadFloors implements Backend.
func (p *postgres) LoadFloors(ctx context.Context) error { return p.loadFloors(ctx, p.pool) }

// DropBefore implements Backend. It detaches partitions concurrently before it drops them, so that
// running queries can finish and new ones do not wait. See floors.go for the order of its steps.
func (p *postgres) DropBefore(ctx context.Context, relation string, cutoff, _ time.Time) (dropped int, err error) {
	locked, err := exclusively(ctx, p.pool, func(conn *pgxpool.Conn) error {
		dropped, err = p.dropPartitions(ctx, conn, relation, cutoff)
		return err
	})
	if err == nil && !locked {
		p.deferWork("another server is refreshing rollups or dropping partitions", "relation", relation)
	}
	return dropped, err
}

func (p *postgres) dropPartitions(
	ctx context.Context, conn *pgxpool.Conn, relation string, cutoff time.Time,
) (int, error) {
	all, err := p.partitions(ctx, conn.Conn(), relation)
	if err != nil {
		return 0, err
	}
	all = slices.DeleteFunc(all, func(one partition) bool { return one.to.After(cutoff) })
	if len(all) == 0 {
		return 0, nil
	}
	limit, err := p.prepareDrop(ctx, conn, relation, all[len(all)-1].to)
	if IsLockTimeout(err) {
		p.deferWork("cannot check whether rollups are up to date", "relation", relation)
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("prepare to drop %s: %w", relation, err)
	}
	dropped := 0
	for _, partition := range all {
		if partition.to.After(limit) {
			p.logger.Info("keeping partitions whose rollups are not up to date", "relation", relation,
				"from", partition.from)
			break
		}
		ok, err := p.dropPartition(ctx, conn, relation, partition)
		if IsLockTimeout(err) { // only one partition of a table can be half detached
			p.deferWork("partition is in use", "partition", partition.name)
			break
		}
		if err != nil {
			return dropped, fmt.Errorf("drop partition %s: %w", partition.name, err)
		}
		if ok {
			p.logger.Info("dropped a partition", "partition", partition.name)
			dropped++
		}
	}
	return dropped, nil
}

// prepareDrop moves the floor of a relation to cutoff, or less far if rollups before it are not up to date. It
// returns the new floor. No rollup is being refreshed meanwhile.
func (p *postgres) prepareDrop(
	ctx context.Context, conn *pgxpool.Conn, relation string, cutoff time.Time,
) (limit time.Time, err error) {
	limit = cutoff
	rollups := dependents(postgresSources, relation)
	if len(rollups) == 0 && !slices.Contains(Rollups, relation) && relation != ShortLived {
		return limit, nil
	}
	var complete floors
	err = withLockTimeout(ctx, conn, func(tx pgx.Tx) error {
		var err error
		if complete, err = lockFloors(ctx, tx); err != nil {
			return err
		}
		var first *time.Time
		levels := `level = 1` // raw data is only needed for hours
		if slices.Contains(Rollups, relation) {
			levels = `true`
		}
		if err := tx.QueryRow(ctx, `SELECT min(bucket) FROM rollup_marks WHERE `+levels).Scan(&first); err != nil {
			return err
		}
		if first != nil {
			for _, rollup := range rollups { // an hour with a mark is also computed for the coarser buckets
				if start := first.UTC().Truncate(bucketWidths[rollup]); start.Before(limit) {
					limit = start
				}
			}
		}
		if limit.Before(cutoff) { // the floor is at the end of a partition
			limit = periodOf(relation).start(limit)
		}
		return complete.raise(ctx, tx, relation, limit)
	})
	if err == nil {
		p.setFloors(complete)
	}
	return limit, err
}

// dropPartition drops a partition. It returns false if another server is creating or dropping one. The lock is held
// for one partition at a time, because writers wait for it when they need a new partition.
func (p *postgres) dropPartition(
	ctx context.Context, conn *pgxpool.Conn, relation string, partition partition,
) (bool, error) {
	var locked bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, partitionLock).Scan(&locked); err != nil {
		return false, fmt.Errorf("lock the partitions: %w", err)
	}
	if !locked {
		p.deferWork("another server is creating or dropping partitions", "partition", partition.name)
		return false, nil
	}
	defer func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, partitionLock)
	}()
	// DETACH CONCURRENTLY must not be in a transaction block.
	restore, err := shortenLockTimeout(ctx, conn)
	if err != nil {
		return false, err
	}
	defer restore()
	p.uncache(partition.name)
	return true, p.drop(ctx, conn.Conn(), tableOf(relation), partition)
}

// Oldest implements Backend.
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
	pending  bool // whether a concurrent detach was interrupted
}

// partitions returns the partitions of a relation, the oldest first, including those that an
// interrupted drop left detached.
func (p *postgres) partitions(ctx context.Context, conn *pgx.Conn, relation string) ([]partition, error) {
	table, period := tableOf(relation), periodOf(relation)
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
		if found.from, err = time.Parse(period.layout, strings.TrimPrefix(found.name, table+"_")); err == nil {
			found.to = period.next(found.from)
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

func (p *postgres) uncache(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, name)
}

// IsMissingPartition reports whether an insert failed because its partition does not exist. Another
// server may have dropped it since EnsurePartitions. PostgreSQL reports a check violation that names no constraint. The
// language of its message depends on the server.
func IsMissingPartition(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "23514" && pgErr.ConstraintName == ""
}
