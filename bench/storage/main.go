// Command storage measures the store: writes compared with plain COPY and with VictoriaMetrics, bytes per
// process sample, rollups, and reads of a long history. Compare only figures of the same run.
// bench/RESULTS.md contains the results.
//
// The database is a private PostgreSQL cluster, or the one of DATABASE_URL. Its schema is recreated, so all
// data there is lost.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/embedded"
)

type options struct {
	machines, processes, days int
	interval                  time.Duration
	writeRows                 int
	reads                     int
	victoria                  string
	reuse                     bool
	shortLived                time.Duration
	perSecond                 float64
	builds                    bool
	profile                   string
}

const fullEvery = 12 // once a minute

func main() {
	var o options
	flag.IntVar(&o.machines, "machines", 2, "machines of the history")
	flag.IntVar(&o.processes, "processes", 300, "processes of each machine")
	flag.IntVar(&o.days, "days", 30, "days of history")
	flag.DurationVar(&o.interval, "interval", 5*time.Second, "time between two snapshots")
	flag.IntVar(&o.writeRows, "rows", 1_200_000, "rows of each write measurement")
	flag.IntVar(&o.reads, "reads", 300, "reads of each kind")
	flag.StringVar(&o.victoria, "victoria", "victoria-metrics", "VictoriaMetrics' program, if it is there")
	flag.BoolVar(&o.reuse, "reuse", false, "read again what an earlier run has left in DATABASE_URL, and write nothing")
	flag.DurationVar(&o.shortLived, "short-lived", 0, "measure only short-lived processes, for this time")
	flag.Float64Var(&o.perSecond, "per-second", 100, "short-lived processes each second")
	flag.BoolVar(&o.builds, "builds", false, "with -short-lived: the machine compiles; otherwise it runs scripts")
	flag.StringVar(&o.profile, "profile", "auto", "storage profile: auto, timescale or postgres")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is the database under test with its measurements.
type bench struct {
	options
	url   string
	store *store.Store
	pool  *pgxpool.Pool
	now   time.Time // the fixed clock of the store
	// ingestCPU is the total CPU time in seconds per logical sample over HTTP, including the client.
	ingestCPU float64
	rollupCPU time.Duration // of the last round
}

func run(ctx context.Context, o options) error {
	gin.SetMode(gin.ReleaseMode)
	url := os.Getenv("DATABASE_URL")
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	if url == "" {
		dir, err := os.MkdirTemp("", "snapwatch-bench-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
		cluster, err := embedded.Start(
			ctx, embedded.Config{Dir: filepath.Join(dir, "data"), Durable: true, Logger: logger},
		)
		if err != nil {
			return err
		}
		defer func() { _ = cluster.Stop(context.Background()) }()
		url = cluster.URL()
	} else if !o.reuse {
		if err := store.MigrateDown(ctx, url, logger); err != nil {
			return err
		}
	}
	found, err := store.Migrate(ctx, url, o.profile, logger)
	if err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	var version string
	if err := pool.QueryRow(ctx, `SELECT current_setting('server_version')`).Scan(&version); err != nil {
		return err
	}
	b := &bench{options: o, url: url, pool: pool, now: time.Now()}
	b.store, err = store.Open(
		ctx,
		store.Config{
			DatabaseURL: url,
			Detection:   found,
			Retention:   time.Duration(o.days+5) * 24 * time.Hour,
			Now:         func() time.Time { return b.now },
		},
		logger,
		prometheus.NewRegistry(),
	)
	if err != nil {
		return err
	}
	defer b.store.Close()
	fmt.Printf("profile %s (%s), PostgreSQL %s\n\n", found.Profile, found.Reason, version)
	if o.reuse {
		if err := pool.QueryRow(ctx, `SELECT max(ts) FROM snapshots`).Scan(&b.now); err != nil {
			return err
		}
		return b.readAll(ctx, b.begin(), snapshot.TimeOf(b.now))
	}
	if o.shortLived > 0 {
		return b.measureShortLived(ctx)
	}
	for _, part := range []func(context.Context) error{b.writes, b.history, b.late} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) say(what, format string, args ...any) {
	fmt.Printf("%-62s %s\n", what, fmt.Sprintf(format, args...))
}

// begin returns the start of the history, at midnight.
func (b *bench) begin() snapshot.Time {
	return snapshot.TimeOf(b.now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -b.days))
}
