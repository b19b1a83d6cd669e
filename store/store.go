package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/pgsession"
	"github.com/snapwatch/snapwatch/internal/wake"
	"github.com/snapwatch/snapwatch/store/accounts"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/migrator"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/writer"
)

// Config configures a Store.
type Config struct {
	// DatabaseURL is a connection string of PostgreSQL 15 or newer.
	DatabaseURL string
	// Detection is the result of Migrate.
	Detection Detection
	// Retention is how long snapshots are kept, in whole days, if the database has no retention yet. Open stores it.
	// The default is that of the profile.
	Retention time.Duration
	// ExitsDays is how many days short-lived processes are kept, if the database has no retention yet. The default is
	// that of the profile, or Retention if that is shorter.
	ExitsDays int
	// MaxConns is the maximum number of connections. The default is 20. Those that posts, accounts, the live view and
	// maintenance do not need are for reads, at least two.
	MaxConns int
	// PostConns is the maximum number of connections for posts. The default is 6. Fewer than one for each concurrent
	// call of Write delay posts.
	PostConns int
	// Pooled is whether a connection pooler is in front of the database. Connections that are not used are then closed
	// soon, because the pooler may have others that wait for them.
	Pooled bool
	// OnReadConnect is called with the process id in the database of each new connection for reads. It may be nil.
	OnReadConnect func(pid uint32)
	// RunCacheSize is how many processes the writer's run cache holds. The default is one million,
	// which takes about 100 MB.
	RunCacheSize int
	// TextCacheSize is how many texts of short-lived processes the writer's text cache holds. The default is one
	// million, which takes about 50 MB.
	TextCacheSize int
	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

// Store is a database of snapshots: the queries that read it, the writer that fills it, and its
// settings and maintenance. It is safe for concurrent use.
type Store struct {
	*query.Queries
	*writer.Writer

	pools   pools
	cfg     Config
	logger  *slog.Logger
	metrics *metrics
	backend backend.Backend
	keep    atomic.Pointer[backend.Retention]
	keepMu  sync.Mutex // held while keep is read from the database or changed

	// The state of the rollups after the last refresh: how far they are behind, in nanoseconds, and the number of
	// buckets that could not be computed.
	rollupsBehind, rollupsFailed atomic.Int64
	upkeep                       upkeepState

	closing     sync.Once
	maintenance wake.Signal // wakes Maintain for an early round
	settings    wake.Signal // wakes FollowSettings
}

// ErrVersionMismatch means that the machine's config no longer has the version that a change was for.
var ErrVersionMismatch = errors.New("the machine's config has changed in the meantime")

// ErrNoSchema means that a database does not have the tables of this version.
var ErrNoSchema = errors.New(
	"the database does not have the tables of snapwatch: start the server once, or run snapwatch migrate up",
)

// Open connects to a database that Migrate has brought up to date. It returns ErrNoSchema if the database does not
// have the tables.
func Open(ctx context.Context, cfg Config, logger *slog.Logger, registry prometheus.Registerer) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	pools, err := openPools(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{pools: pools, cfg: cfg, logger: logger, maintenance: wake.New(), settings: wake.New(),
		metrics: newMetrics(registry, pools),
		backend: backend.New(cfg.Detection.Profile, pools.upkeep, logger, cfg.Now())}
	s.Queries = query.New(
		query.Config{Pool: pools.reads, Backend: s.backend, Retention: s.Retention, Now: cfg.Now}, registry,
	)
	if err := s.load(ctx, registry); err != nil {
		pools.close()
		return nil, err
	}
	return s, nil
}

// load checks the schema, reads the settings and creates the writer.
func (s *Store) load(ctx context.Context, registry prometheus.Registerer) error {
	if err := checkSchema(ctx, s.pools.control); err != nil {
		return err
	}
	if err := errors.Join(s.Ping(ctx), s.openRetention(ctx)); err != nil {
		return err
	}
	var textHashKey string
	if err := s.pools.control.QueryRow(ctx, `SELECT value FROM settings WHERE key = 'text_hash_key'`).
		Scan(&textHashKey); err != nil {
		return fmt.Errorf("read the key of text hashes: %w", err)
	}
	s.Writer = writer.New(
		writer.Config{
			Pool: s.pools.posts, Backend: s.backend, Logger: s.logger, Now: s.cfg.Now, Horizon: s.Horizon,
			RunCacheSize: s.cfg.RunCacheSize, TextCacheSize: s.cfg.TextCacheSize, TextHashKey: textHashKey,
		},
		registry,
	)
	return nil
}

// connect opens a connection for a few statements. They are not prepared, because each is executed once.
func connect(ctx context.Context, databaseURL, application string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("parse database URL: %w", redact(err))
	}
	pgsession.Configure(&config.Config, application, 0, 0)
	config.ConnectTimeout = connectTimeout
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return conn, nil
}

// checkSchema returns ErrNoSchema if a database does not have the tables of the accounts. They were added after those
// of the snapshots.
func checkSchema(ctx context.Context, pool *pgxpool.Pool) error {
	var exists bool
	if err := pool.QueryRow(ctx, `SELECT to_regclass('enrolment_keys') IS NOT NULL`).Scan(&exists); err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	if !exists {
		return ErrNoSchema
	}
	return nil
}

// redact removes the connection string from an error of pgx, because it may contain a password.
func redact(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return errors.New("it is not a valid connection string")
}

// OpenAccounts opens only the accounts of a database, for the command line. Call the returned function to
// close them. It returns ErrNoSchema if the database does not have the tables.
func OpenAccounts(ctx context.Context, databaseURL string) (*accounts.Accounts, func(), error) {
	config, err := poolConfig(databaseURL, "snapwatch accounts", 2, controlTimeout, 0)
	if err != nil {
		return nil, nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the database: %w", err)
	}
	if err := checkSchema(ctx, pool); err != nil {
		pool.Close()
		return nil, nil, err
	}
	return accounts.New(pool), pool.Close, nil
}

// AcceptsConnections reports whether a database accepts connections.
func AcceptsConnections(ctx context.Context, databaseURL string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// IsSuperuser reports whether the server's database role is a superuser. It does not need to be one.
func (s *Store) IsSuperuser(ctx context.Context) (is bool, err error) {
	if err := s.pools.control.QueryRow(ctx, `SELECT rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&is); err != nil {
		return false, fmt.Errorf("look up the role: %w", err)
	}
	return is, nil
}

// Accounts returns the accounts in the same database.
func (s *Store) Accounts() *accounts.Accounts { return accounts.New(s.pools.control) }

// Permissions returns the queries that decide what callers may do. They do not wait for other reads.
func (s *Store) Permissions() *query.Queries { return s.On(s.pools.control) }

// Live returns the source of the live view, which does not wait for other reads.
func (s *Store) Live() *Live { return &Live{s.On(s.pools.live), s} }

// Live reads snapshots and sends notifications for the live view.
type Live struct {
	*query.Queries
	store *Store
}

// Notify sends a notification through the database.
func (l *Live) Notify(ctx context.Context, channel, payload string) error {
	return l.store.Notify(ctx, channel, payload)
}

// Notify sends a notification through the database, to all servers.
func (s *Store) Notify(ctx context.Context, channel, payload string) error {
	if _, err := s.pools.upkeep.Exec(ctx, `SELECT pg_notify($1, $2)`, channel, payload); err != nil {
		return fmt.Errorf("send a notification: %w", err)
	}
	return nil
}

// Close sends pending notifications and closes the connections. Calls after the first do nothing.
func (s *Store) Close() {
	s.closing.Do(func() {
		s.Writer.Close()
		s.pools.close()
	})
}

// Ping returns an error if the database is not available or not migrated to the latest version.
func (s *Store) Ping(ctx context.Context) error {
	status, err := migrator.ReadStatus(ctx, s.pools.upkeep, s.backend.Name())
	if err != nil {
		return err
	}
	return status.Check()
}

// Profile returns the storage profile in use, and the reason for it.
func (s *Store) Profile() Detection { return s.cfg.Detection }
