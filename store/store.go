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
	// MaxConns bounds the connection pool. The default is 10.
	MaxConns int32
	// RunCacheSize is how many processes the writer's run cache holds. The default is one million,
	// which takes about 100 MB.
	RunCacheSize int
	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

// Store is a database of snapshots: the queries that read it, the writer that fills it, and its
// settings and maintenance. It is safe for concurrent use.
type Store struct {
	*query.Queries
	*writer.Writer

	pool    *pgxpool.Pool
	cfg     Config
	logger  *slog.Logger
	metrics *metrics
	backend backend.Backend
	keep    atomic.Pointer[backend.Retention]

	closing     sync.Once
	maintenance wake.Signal // wakes Maintain for an early round
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
	pool, err := openPool(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{pool: pool, cfg: cfg, logger: logger, maintenance: wake.New(),
		metrics: newMetrics(registry, pool),
		backend: backend.New(cfg.Detection.Profile, pool, logger, cfg.Now())}
	s.Queries = query.New(
		query.Config{Pool: pool, Backend: s.backend, Retention: s.Retention, Now: cfg.Now}, registry,
	)
	if err := checkSchema(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	if err := errors.Join(s.Ping(ctx), s.openRetention(ctx)); err != nil {
		pool.Close()
		return nil, err
	}
	var textHashKey string
	if err := pool.QueryRow(ctx, `SELECT value FROM settings WHERE key = 'text_hash_key'`).Scan(&textHashKey); err != nil {
		pool.Close()
		return nil, fmt.Errorf("read the key of text hashes: %w", err)
	}
	s.Writer = writer.New(
		writer.Config{
			Pool: pool, Backend: s.backend, Logger: logger, Now: cfg.Now, Horizon: s.Horizon,
			RunCacheSize: cfg.RunCacheSize, TextHashKey: textHashKey,
		},
		registry,
	)
	return s, nil
}

func openPool(ctx context.Context, cfg Config) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(cfg.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("parse database URL: %w", redact(err))
	}
	config.MaxConns = 10
	if cfg.MaxConns > 0 {
		config.MaxConns = cfg.MaxConns
	}
	pgsession.Configure(&config.ConnConfig.Config, "snapwatch")
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return pool, nil
}

// connect opens a connection for a few statements. They are not prepared, because each is executed once.
func connect(ctx context.Context, databaseURL, application string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("parse database URL: %w", redact(err))
	}
	pgsession.Configure(&config.Config, application)
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
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, nil, fmt.Errorf("parse database URL: %w", redact(err))
	}
	config.MaxConns = 2
	pgsession.Configure(&config.ConnConfig.Config, "snapwatch accounts")
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
	if err := s.pool.QueryRow(ctx, `SELECT rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&is); err != nil {
		return false, fmt.Errorf("look up the role: %w", err)
	}
	return is, nil
}

// Accounts returns the accounts in the same database.
func (s *Store) Accounts() *accounts.Accounts { return accounts.New(s.pool) }

// Close sends pending notifications and closes the connections. Calls after the first do nothing.
func (s *Store) Close() {
	s.closing.Do(func() {
		s.Writer.Close()
		s.pool.Close()
	})
}

// Ping returns an error if the database is not available or not migrated to the latest version.
func (s *Store) Ping(ctx context.Context) error {
	status, err := migrator.ReadStatus(ctx, s.pool, s.backend.Name())
	if err != nil {
		return err
	}
	return status.Check()
}

// Profile returns the storage profile in use, and the reason for it.
func (s *Store) Profile() Detection { return s.cfg.Detection }
