// Package embedded runs a private PostgreSQL cluster in a directory, with server binaries that are installed
// on the machine. The server uses it if no database is configured.
//
// The cluster listens only on a Unix socket and uses peer authentication. Its processes keep running if
// snapwatch is killed, and the next Start connects to them.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/backoff"
	"github.com/snapwatch/snapwatch/internal/strictpath"
)

// Config configures a Cluster.
type Config struct {
	// Dir holds the cluster, its socket and its log. Start creates it.
	Dir string
	// BinDir contains initdb, pg_ctl and postgres. By default, Start searches for them.
	BinDir string
	// MustExist makes Start return ErrNoCluster instead of creating a cluster.
	MustExist bool
	// Durable must be true for anything but tests: it keeps fsync on.
	Durable bool
	// KeepTrying makes Start retry a cluster that does not start, for example because the disk is full, until its
	// context is done. Without it, Start gives up after a minute.
	KeepTrying bool
	// OnFailure is called with the reason of each failed attempt to start. It may be nil.
	OnFailure func(error)
	Logger    *slog.Logger
}

// Cluster is a running private cluster.
type Cluster struct {
	cfg    Config
	bin    string
	owner  owner
	socket string
	extra  []string // settings besides the usual ones
	lock   *flock.Flock
	state  stateHolder
}

const (
	// superuser is the bootstrap role of the cluster, appRole is the role of snapwatch.
	superuser    = "postgres"
	appRole      = "snapwatch"
	database     = "snapwatch"
	startTimeout = 60 * time.Second
	// launchTimeout is how many seconds pg_ctl waits. Recovery after a crash can take that long.
	launchTimeout = "60"
	// cancelDelay is how long pg_ctl may continue after a start was cancelled.
	cancelDelay     = 3 * time.Second
	minRestartDelay = time.Second
	// maxRestartDelay leaves a start some seconds, so that the cluster runs ten seconds after a cause was removed.
	maxRestartDelay = 5 * time.Second
	// failureInterval is the time between two log records of attempts to start that fail for the same reason.
	failureInterval = 15 * time.Second
	// maxSocketDir keeps the path of the socket within the 107 bytes of sun_path.
	maxSocketDir = 107 - len("/.s.PGSQL.5432")
)

// ErrInUse means that another snapwatch process has locked the data directory.
var ErrInUse = errors.New("another snapwatch is using it; stop that one or use another directory")

// ErrNoCluster means that a directory has no cluster.
var ErrNoCluster = errors.New("there is no private database")

// Start starts the cluster and returns when it accepts connections. It creates the cluster if there is
// none, and connects to it if it is running already.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolve the data directory: %w", err)
	}
	cfg.Dir = dir
	if strings.ContainsAny(dir, "\"$`\\\n") {
		return nil, fmt.Errorf("the data directory %q: its path must not contain quotation marks, $, `, \\ and line "+
			"breaks, because pg_ctl passes it to a shell", dir)
	}
	if cfg.OnFailure == nil {
		cfg.OnFailure = func(error) {}
	}
	if cfg.MustExist && !Exists(dir) {
		return nil, fmt.Errorf("%w in %s", ErrNoCluster, dir)
	}
	owner, err := currentOwner()
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(dir, owner)
	if err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, owner: owner, lock: lock}
	if err := c.start(ctx); err != nil {
		if ctx.Err() != nil {
			c.stopCancelled()
		}
		_ = lock.Close()
		return nil, err
	}
	return c, nil
}

// stopCancelled stops what a cancelled start has started, so that it does not run without a server.
func (c *Cluster) stopCancelled() {
	ctx, cancel := context.WithTimeout(context.Background(), restartTimeout)
	defer cancel()
	isRunning, err := c.isRunning()
	if isRunning {
		err = c.shutdown(ctx)
	}
	if err != nil {
		c.cfg.Logger.Error("could not stop the private database", "err", err)
	}
}

// lockDir creates a data directory and locks it.
func lockDir(dir string, owner owner) (*flock.Flock, error) {
	if err := owner.makeParent(dir); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	lock := flock.New(
		filepath.Join(dir, "lock"), flock.SetPermissions(0o600),
		flock.SetFlag(os.O_CREATE|os.O_RDONLY|strictpath.NoFollow),
	)
	if locked, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	} else if !locked {
		return nil, fmt.Errorf("lock the data directory %s: %w", dir, ErrInUse)
	}
	return lock, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := finishSwitch(c.cfg.Dir, c.owner); err != nil {
		return err
	}
	if !c.cfg.KeepTrying {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, startTimeout)
		defer cancel()
	}
	// Besides lasting failures, postgres does not start while backends of a killed postmaster still use its shared
	// memory.
	delay, failures := newDelay(), failureLog{logger: c.cfg.Logger}
	for {
		err := c.startOnce(ctx)
		if err == nil {
			c.hintAtUpgrade()
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		// A server waits for the missing version of an existing cluster. Everything else says at once what is missing.
		_, missing := errors.AsType[*MissingVersionError](err)
		if errors.Is(err, ErrNoBinaries) && !(missing && c.cfg.KeepTrying) {
			return err
		}
		c.cfg.OnFailure(err)
		wait := delay.Next()
		failures.log(err, wait)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// newDelay returns the delays between attempts to start.
func newDelay() backoff.Backoff { return backoff.Backoff{Min: minRestartDelay, Max: maxRestartDelay} }

// failureLog logs why attempts to start fail. It logs a reason again only after failureInterval.
type failureLog struct {
	logger *slog.Logger
	reason string
	logged time.Time
}

// log logs the reason of a failed attempt, and the time until the next one.
func (f *failureLog) log(err error, wait time.Duration) {
	if err.Error() == f.reason && time.Since(f.logged) < failureInterval {
		return
	}
	f.reason, f.logged = err.Error(), time.Now()
	f.logger.Error("the private database does not start, trying again", "wait", wait, "err", err)
}

// hintAtUpgrade logs that a newer version of PostgreSQL is installed. A later upgrade of the system may remove the
// cluster's version, without which nothing can read its files.
func (c *Cluster) hintAtUpgrade() {
	if !c.cfg.KeepTrying { // of a command
		return
	}
	major := clusterMajor(c.data())
	if all, err := installations(""); err == nil && len(all) > 0 && all[0].major > major {
		c.cfg.Logger.Info("a newer version of PostgreSQL is installed: before you remove the one of the private "+
			"database, stop the server and run snapwatch upgrade-database", "version", major, "newest", all[0].major)
	}
}

// startOnce creates the cluster if there is none, and starts it if it does not run.
func (c *Cluster) startOnce(ctx context.Context) (err error) {
	if err := c.findPrograms(); err != nil {
		return err
	}
	if isRunning, err := c.isRunning(); err == nil && !isRunning {
		c.releaseReserves(ctx) // creating a directory needs an inode
	}
	if c.socket, err = c.owner.makeSocketDir(c.cfg.Dir); err != nil {
		return fmt.Errorf("create the socket directory: %w", err)
	}
	if err := c.removeUnfinishedUpgrade(ctx); err != nil {
		return err
	}
	c.removeInterrupted()
	if clusterMajor(c.data()) == 0 {
		if err := c.initialise(ctx); err != nil {
			return err
		}
	}
	if c.ping(ctx) == nil {
		c.cfg.Logger.Info("taking over the running cluster", "dir", c.data())
	} else if err := c.launch(ctx); err != nil {
		return err
	}
	return c.ensureDatabase(ctx)
}

// URL returns the connection string of snapwatch's database and role.
func (c *Cluster) URL() string { return URL(c.socket, appRole, database) }

// DatabaseURL returns the connection string of another database for snapwatch's role.
func (c *Cluster) DatabaseURL(name string) string { return URL(c.socket, appRole, name) }

// SuperuserURL returns the connection string of the cluster's superuser.
func (c *Cluster) SuperuserURL() string { return URL(c.socket, superuser, "postgres") }

// URL formats a connection string for a socket directory.
func URL(socket, role, database string) string {
	host := strings.ReplaceAll(url.QueryEscape(socket), "+", "%20") // pgx takes a plus sign as it is
	return fmt.Sprintf("postgres://%s@/%s?host=%s", role, database, host)
}

// Exists reports whether a directory has a cluster that the current user can access.
func Exists(dir string) bool {
	return clusterMajor(filepath.Join(dir, "postgres")) != 0 || isSwitching(dir)
}

// FindURL returns the connection string of the cluster in dir without starting it.
func FindURL(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("resolve the data directory: %w", err)
	}
	if !Exists(abs) {
		return "", fmt.Errorf("%w in %s", ErrNoCluster, abs)
	}
	return URL(socketDir(abs), appRole, database), nil
}

// Stop stops the cluster and unlocks the directory. Open transactions are rolled back.
func (c *Cluster) Stop(ctx context.Context) error {
	defer func() { _ = c.lock.Close() }()
	return c.shutdown(ctx)
}

func (c *Cluster) shutdown(ctx context.Context) error {
	if isMissing(filepath.Join(c.bin, "pg_ctl")) {
		if err := c.findPrograms(); err != nil { // they were removed while the cluster runs
			return c.interrupt(ctx)
		}
	}
	if out, err := c.run(ctx, "pg_ctl", "stop", "-D", c.data(), "-m", "fast", "-w", "-t", "60"); err != nil {
		return fmt.Errorf("stop the cluster: %w: %s", err, out)
	}
	_ = os.Remove(c.socket) // it is empty now, and may be outside of Dir
	return nil
}

// Release unlocks the directory for another Start, but does not stop the cluster.
func (c *Cluster) Release() { _ = c.lock.Close() }

// PID returns the process id of the cluster's postmaster.
func (c *Cluster) PID() (int, error) {
	text, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("read postmaster.pid: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(strings.TrimSpace(first))
}

// isRunning reports whether the postmaster of the cluster runs. It returns an error if it could not be found out.
func (c *Cluster) isRunning() (bool, error) {
	pid, err := c.PID()
	_, isInvalid := errors.AsType[*strconv.NumError](err)
	if errors.Is(err, fs.ErrNotExist) || isInvalid || err == nil && pid <= 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return isPostmaster(pid, c.data())
}

func (c *Cluster) data() string    { return filepath.Join(c.cfg.Dir, "postgres") }
func (c *Cluster) logPath() string { return filepath.Join(c.cfg.Dir, "postgres.log") }

// launch starts the cluster, which does not run. The error has the reason from its log.
func (c *Cluster) launch(ctx context.Context) error {
	c.releaseReserves(ctx)
	// A cleaner of temporary files may have removed it.
	if _, err := c.owner.makeSocketDir(c.cfg.Dir); err != nil {
		return fmt.Errorf("create the socket directory: %w", err)
	}
	if err := c.clearRemains(ctx); err != nil {
		return err
	}
	wal, _ := measureDisk(ctx, filepath.Join(c.data(), "pg_wal")) // unknown if that fails
	if err := c.owner.touch(c.logPath()); err != nil {
		return fmt.Errorf("create the log of the cluster: %w", err)
	}
	c.trimLog()
	before := c.logSize()
	start := c.command(ctx, "pg_ctl", "start", "-D", c.data(), "-w", "-t", launchTimeout, "-l", c.logPath(), "-o",
		c.options(ctx, wal.Total))
	// When ctx ends, pg_ctl goes on until PostgreSQL has written its process id. Nothing could stop it before that.
	start.Cancel, start.WaitDelay = func() error { return nil }, cancelDelay
	text, err := start.CombinedOutput()
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("start PostgreSQL: %w", ctx.Err())
	}
	if err == nil {
		return nil
	}
	out := strings.TrimSpace(string(text))
	if reason := c.failureSince(before); reason != "" {
		return fmt.Errorf("start PostgreSQL: %s (%s)", reason, c.logPath())
	}
	return fmt.Errorf("start PostgreSQL: %w: %s (%s)", err, out, c.logPath())
}

func (c *Cluster) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.SuperuserURL())
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

func (c *Cluster) ensureDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.SuperuserURL())
	if err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var role, db bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1), EXISTS (SELECT FROM pg_database WHERE datname = $2)`,
		appRole, database).Scan(&role, &db); err != nil {
		return fmt.Errorf("look up the database: %w", err)
	}
	if !role {
		if _, err := conn.Exec(ctx, "CREATE ROLE "+appRole+" LOGIN"); err != nil {
			return fmt.Errorf("create the role: %w", err)
		}
	}
	if !db {
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+database+" OWNER "+appRole); err != nil {
			return fmt.Errorf("create the database: %w", err)
		}
	}
	return nil
}

// run executes one of PostgreSQL's programs as the cluster's owner.
func (c *Cluster) run(ctx context.Context, program string, args ...string) (string, error) {
	out, err := c.command(ctx, program, args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// command returns a command that executes one of PostgreSQL's programs as the cluster's owner.
func (c *Cluster) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, program), args...)
	c.owner.apply(cmd)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + c.bin + ":/usr/bin:/bin", "LANG=C", "LC_ALL=C", "TZ=UTC"}
	cmd.WaitDelay = time.Second
	return cmd
}
