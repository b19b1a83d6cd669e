package embedded

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// failedLogs keeps the logs of a failed pg_upgrade, below the data directory.
const failedLogs = "upgrade-logs"

// mustDump reports whether the data is copied with a dump: if that is the method, or if pg_upgrade is not possible.
func (u *upgrade) mustDump(ctx context.Context) (bool, error) {
	if u.cfg.Method == MethodDump {
		return true, nil
	}
	isAuto := u.cfg.Method == MethodAuto && !u.cfg.Clone
	if _, err := os.Stat(filepath.Join(u.new.bin, "pg_upgrade")); err != nil {
		if isAuto {
			u.step("there is no pg_upgrade in %s: using a dump", u.new.bin)
			return true, nil
		}
		return false, fmt.Errorf("there is no pg_upgrade in %s", u.new.bin)
	}
	u.step("checking with pg_upgrade whether the cluster can be upgraded")
	err := u.runPgUpgrade(ctx, "--check")
	if err == nil {
		return false, nil
	}
	if ctx.Err() != nil || !isAuto {
		return false, err
	}
	u.step("pg_upgrade is not possible, using a dump: %v", err)
	// A failed check may have left files in the new cluster.
	if err := os.RemoveAll(u.new.data()); err != nil {
		return false, fmt.Errorf("remove the new cluster: %w", err)
	}
	return true, u.new.initialise(ctx)
}

// pgUpgrade copies the cluster with pg_upgrade. The old cluster is only read.
func (u *upgrade) pgUpgrade(ctx context.Context) error {
	u.step("copying %d MiB with pg_upgrade", u.size>>20)
	stop := u.reportCopy()
	defer stop()
	return u.runPgUpgrade(ctx)
}

// reportCopy reports the size of the new cluster until stop is called.
func (u *upgrade) reportCopy() (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(copyInterval)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
				if size, err := dataSize(u.new.data()); err == nil {
					u.step("the new cluster has %d of about %d MiB", size>>20, u.size>>20)
				}
			}
		}
	}()
	return func() { close(end); <-ended }
}

func (u *upgrade) runPgUpgrade(ctx context.Context, more ...string) error {
	locks := "-c max_locks_per_transaction=2048"
	args := append([]string{
		"--old-bindir", u.old.bin, "--new-bindir", u.new.bin,
		"--old-datadir", u.old.data(), "--new-datadir", u.new.data(),
		"--old-options", locks, "--new-options", locks,
		"--old-port", "5432", "--new-port", "5433",
		"--username", superuser, "--socketdir", u.new.socket,
	}, more...)
	if u.cfg.Clone {
		args = append(args, "--clone")
	}
	cmd := u.new.command(ctx, "pg_upgrade", args...)
	cmd.Dir = u.new.cfg.Dir // it writes a script there
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dieWithParent(cmd)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("pg_upgrade: %w", ctx.Err())
	}
	return fmt.Errorf("pg_upgrade: %w%s:\n%s", err, u.keepLogs(), lastLines(string(out), 20))
}

// keepLogs moves the logs of pg_upgrade out of the new cluster, which is removed, and says where they are.
func (u *upgrade) keepLogs() string {
	kept := filepath.Join(u.old.cfg.Dir, failedLogs)
	if err := os.RemoveAll(kept); err != nil {
		return ""
	}
	if err := os.Rename(filepath.Join(u.new.data(), "pg_upgrade_output.d"), kept); err != nil {
		return ""
	}
	return " (its logs are in " + kept + ")"
}

// lastLines returns the last n lines of a text that are not empty.
func lastLines(text string, n int) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// finishDatabases updates extensions and collects the statistics of the planner, which pg_upgrade and dumps do not
// copy.
func (u *upgrade) finishDatabases(ctx context.Context) error {
	names, err := databases(ctx, u.new)
	if err != nil {
		return err
	}
	for _, name := range names {
		u.step("updating extensions and collecting statistics of the database %s", name)
		if err := finishDatabase(ctx, u.new, name); err != nil {
			return fmt.Errorf("database %s: %w", name, err)
		}
	}
	return nil
}

func finishDatabase(ctx context.Context, c *Cluster, name string) error {
	conn, err := connect(ctx, c, name)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	outdated, err := readColumn(ctx, conn, `SELECT quote_ident(name) FROM pg_available_extensions
		WHERE installed_version <> default_version ORDER BY name`)
	if err != nil {
		return fmt.Errorf("list extensions: %w", err)
	}
	for _, extension := range outdated {
		if _, err := conn.Exec(ctx, "ALTER EXTENSION "+extension+" UPDATE"); err != nil {
			return fmt.Errorf("update the extension %s: %w", extension, err)
		}
	}
	if _, err := conn.Exec(ctx, "ANALYZE"); err != nil {
		return fmt.Errorf("collect statistics: %w", err)
	}
	return nil
}

// databases returns the names of all databases of a running cluster but the templates.
func databases(ctx context.Context, c *Cluster) ([]string, error) {
	conn, err := connect(ctx, c, "postgres")
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	names, err := readColumn(ctx, conn, `SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate
		ORDER BY datname`)
	if err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	return names, nil
}

// connect connects to a database as superuser.
func connect(ctx context.Context, c *Cluster, name string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, URL(c.socket, superuser, url.PathEscape(name)))
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return conn, nil
}

// readColumn returns the only column of a query.
func readColumn(ctx context.Context, conn *pgx.Conn, query string) ([]string, error) {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
