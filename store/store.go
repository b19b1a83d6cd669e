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

	"github.com/snapwatch/snapwatch/store/accounts"
)

// Config is what a Store needs to know.
type Config struct {
	// DatabaseURL is a connection string of PostgreSQL 15 or newer.
	DatabaseURL string
	// Detection is what Migrate found out about the database.
	Detection Detection
	// Retention is how long snapshots are kept, in whole days, until SetRetention
	// says otherwise; 0 means the profile's default.
	Retention time.Duration
	// MaxConns bounds the connection pool; 0 means 10.
	MaxConns int32
	// ChainCache bounds, in processes, the memory of what machines run now,
	// which spares the writer a look-up; 0 means one million (about 100 MB).
	ChainCache int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Store reads and writes snapshots. It is safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	cfg     Config
	logger  *slog.Logger
	metrics *metrics
	profile profile
	notify  *notifier

	chains *chainCache
	keep   atomic.Pointer[Retention]

	closing sync.Once
	upkeep  chan struct{} // asks Maintain for a round now
}

// ErrVersionMismatch says that a config is not the one that was to be changed.
var ErrVersionMismatch = errors.New("the machine's config has changed meanwhile")

// Open connects to a database that Migrate has brought up to date.
func Open(ctx context.Context, cfg Config, logger *slog.Logger, registry prometheus.Registerer) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.ChainCache == 0 {
		cfg.ChainCache = 1_000_000
	}
	poolConfig, err := pgxpool.ParseConfig(cfg.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("parse database URL: %w", redact(err))
	}
	poolConfig.MaxConns = 10
	if cfg.MaxConns > 0 {
		poolConfig.MaxConns = cfg.MaxConns
	}
	// A date in SQL must mean the same day everywhere.
	poolConfig.ConnConfig.RuntimeParams["timezone"] = "UTC"
	poolConfig.ConnConfig.RuntimeParams["application_name"] = "snapwatch"
	// Compiling a plan takes longer than our longest read.
	poolConfig.ConnConfig.RuntimeParams["jit"] = "off"
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	s := &Store{pool: pool, cfg: cfg, logger: logger, upkeep: make(chan struct{}, 1)}
	s.metrics = newMetrics(registry, pool)
	if cfg.Detection.Profile == ProfileTimescale {
		s.profile = newTimescaleProfile(pool, logger, cfg.Now())
	} else {
		s.profile = newPostgresProfile(pool, logger)
	}
	s.chains = newChainCache(cfg.ChainCache)
	s.notify = newNotifier(pool, logger, s.metrics)
	if err := s.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	if err := s.loadRetention(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// redact drops a connection string, and with it a password, from pgx's error.
func redact(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return errors.New("it is not a valid connection string")
}

// OpenAccounts opens the tables of who may do what alone, for the command line.
func OpenAccounts(ctx context.Context, databaseURL string) (*accounts.Accounts, func(), error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, nil, fmt.Errorf("parse database URL: %w", redact(err))
	}
	config.MaxConns = 2
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err == nil {
		err = pool.Ping(ctx)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the database: %w", err)
	}
	return accounts.New(pool), pool.Close, nil
}

// Answers reports whether a database takes connections.
func Answers(ctx context.Context, databaseURL string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// IsSuperuser reports whether the server's role may do anything in the database's
// whole cluster, which it has no need of.
func (s *Store) IsSuperuser(ctx context.Context) (is bool, err error) {
	if err := s.pool.QueryRow(ctx, `SELECT rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&is); err != nil {
		return false, fmt.Errorf("look at the database's role: %w", err)
	}
	return is, nil
}

// Accounts returns the tables of who may do what, which are in the same database.
func (s *Store) Accounts() *accounts.Accounts { return accounts.New(s.pool) }

// Close sends the pending notifications and closes the connections; a second
// Close does nothing.
func (s *Store) Close() {
	s.closing.Do(func() {
		s.notify.close()
		s.pool.Close()
	})
}

// Ping reports whether the database answers and is migrated to this version.
func (s *Store) Ping(ctx context.Context) error {
	var version int
	var dirty bool
	err := s.pool.QueryRow(ctx, `SELECT version, dirty FROM schema_migrations`).Scan(&version, &dirty)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	latest, err := latestVersion(s.profile.name())
	if err != nil {
		return err
	}
	if dirty || version < latest {
		return fmt.Errorf(
			"the schema is at version %d (dirty: %v), this server needs %d: run snapwatch migrate up", version, dirty,
			latest,
		)
	}
	return nil
}

// Profile names the storage profile in use, and why it is that.
func (s *Store) Profile() Detection { return s.cfg.Detection }
