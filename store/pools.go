package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/snapwatch/snapwatch/internal/pgsession"
)

// pools are the connection pools of a Store. Each kind of work has connections of its own, so that none can take those
// of another: however many slow reads there are, posts and sign-ins find a connection.
type pools struct {
	posts   *pgxpool.Pool // the writer
	control *pgxpool.Pool // accounts, tokens, and the settings of machines
	live    *pgxpool.Pool // the live view
	upkeep  *pgxpool.Pool // maintenance, notifications and health checks
	reads   *pgxpool.Pool // queries of users
}

const (
	// defaultMaxConns is the number of connections of all pools together.
	defaultMaxConns = 20
	// Connections of the pools with a fixed size. The writer's is set by the number of its writers.
	controlConns, liveConns, upkeepConns = 4, 2, 3
	minReadConns                         = 2
	defaultPostConns                     = 6
	// Timeouts of statements. Requests have shorter deadlines of their own. A statement outlives its request only if
	// its cancellation does not reach the database.
	readTimeout    = 45 * time.Second
	liveTimeout    = 15 * time.Second
	controlTimeout = 15 * time.Second
	// upkeepLockTimeout is how long maintenance waits for a lock. Its statements may take long, but a lock that another
	// session keeps must not stop the rest of the maintenance.
	upkeepLockTimeout = time.Minute
	connectTimeout    = 5 * time.Second
	// pooledIdleTime is how long a connection to a connection pooler is kept without being used.
	pooledIdleTime = 5 * time.Second
	// cancelDelay is how long a connection waits for a statement to end after its cancellation.
	cancelDelay = time.Second
)

// openPools opens all pools. They connect when they are first used.
func openPools(ctx context.Context, cfg Config) (p pools, err error) {
	posts := defaultPostConns
	if cfg.PostConns > 0 {
		posts = cfg.PostConns
	}
	total := defaultMaxConns
	if cfg.MaxConns > 0 {
		total = cfg.MaxConns
	}
	reads := max(total-posts-controlConns-liveConns-upkeepConns, minReadConns)
	for _, one := range []struct {
		pool        **pgxpool.Pool
		application string
		conns       int
		timeout     time.Duration
		lockTimeout time.Duration
	}{
		{&p.posts, "snapwatch posts", posts, 0, 0},
		{&p.control, "snapwatch control", controlConns, controlTimeout, 0},
		{&p.live, "snapwatch live", liveConns, liveTimeout, 0},
		{&p.upkeep, "snapwatch upkeep", upkeepConns, 0, upkeepLockTimeout},
		{&p.reads, "snapwatch reads", reads, readTimeout, 0},
	} {
		config, err := poolConfig(cfg.DatabaseURL, one.application, one.conns, one.timeout, one.lockTimeout)
		if err != nil {
			p.close()
			return pools{}, err
		}
		if cfg.Pooled {
			config.MaxConnIdleTime, config.HealthCheckPeriod = pooledIdleTime, pooledIdleTime
		}
		if one.pool == &p.reads && cfg.OnReadConnect != nil {
			// Parallel workers are processes of their own, with the priority of the writer.
			config.ConnConfig.RuntimeParams["max_parallel_workers_per_gather"] = "0"
			config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
				cfg.OnReadConnect(conn.PgConn().PID())
				return nil
			}
		}
		if *one.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
			p.close()
			return pools{}, fmt.Errorf("connect to the database: %w", err)
		}
	}
	return p, nil
}

// poolConfig returns the configuration of a pool whose statements have a timeout, in total and for waiting for a lock;
// 0 is none.
func poolConfig(
	databaseURL, application string, conns int, timeout, lockTimeout time.Duration,
) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("parse database URL: %w", redact(err))
	}
	config.MaxConns = int32(conns)
	config.ConnConfig.ConnectTimeout = connectTimeout
	// When a client has left, the statement is cancelled and the connection is kept.
	config.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: cancelDelay}
	}
	pgsession.Configure(&config.ConnConfig.Config, application, timeout, lockTimeout)
	// While the database is read-only, no connection is kept, so that none of them is left when it is writable again.
	config.AfterRelease = func(conn *pgx.Conn) bool { return !pgsession.ReadOnly(conn.PgConn()) }
	return config, nil
}

// all returns the pools by the name that metrics have.
func (p pools) all() map[string]*pgxpool.Pool {
	return map[string]*pgxpool.Pool{
		"posts": p.posts, "control": p.control, "live": p.live, "upkeep": p.upkeep, "reads": p.reads,
	}
}

// close closes the pools that are open.
func (p pools) close() {
	for _, pool := range p.all() {
		if pool != nil {
			pool.Close()
		}
	}
}
