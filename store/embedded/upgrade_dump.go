package embedded

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// dumpAndRestore copies all roles and databases of the old cluster, and compares both. The new cluster runs when it
// returns nil, the old one does not.
func (u *upgrade) dumpAndRestore(ctx context.Context) error {
	for _, program := range []string{"pg_dump", "pg_dumpall", "psql"} {
		if _, err := os.Stat(filepath.Join(u.new.bin, program)); err != nil {
			return fmt.Errorf("there is no %s in %s: install the client programs of PostgreSQL %d", program, u.new.bin,
				u.to)
		}
	}
	runtime.LockOSThread() // for dieWithParent
	defer runtime.UnlockOSThread()
	if err := u.startOld(ctx); err != nil {
		return err
	}
	if err := u.new.launch(ctx); err != nil {
		return err
	}
	u.step("copying the roles")
	if err := u.copyRoles(ctx); err != nil {
		return err
	}
	names, err := databases(ctx, u.old)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := u.copyDatabase(ctx, name); err != nil {
			return fmt.Errorf("copy the database %s: %w", name, err)
		}
	}
	for _, name := range names {
		if err := u.compare(ctx, name); err != nil {
			return fmt.Errorf("compare the database %s: %w", name, err)
		}
	}
	return u.old.shutdown(ctx)
}

// client returns a command that connects to a cluster as superuser.
func (u *upgrade) client(ctx context.Context, to *Cluster, program string, args ...string) *exec.Cmd {
	cmd := u.new.command(ctx, program, append([]string{"--host", to.socket, "--username", superuser}, args...)...)
	dieWithParent(cmd)
	return cmd
}

// psql returns a command that executes its standard input in a database of the new cluster.
func (u *upgrade) psql(ctx context.Context, database string) *exec.Cmd {
	return u.client(ctx, u.new, "psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--output", os.DevNull,
		"--dbname", database)
}

// copyRoles copies all roles with their settings.
func (u *upgrade) copyRoles(ctx context.Context) error {
	dump := u.client(ctx, u.old, "pg_dumpall", "--roles-only")
	var failure bytes.Buffer
	dump.Stderr = &failure
	roles, err := dump.Output()
	if err != nil {
		return fmt.Errorf("dump the roles: %w: %s", err, lastLines(failure.String(), 20))
	}
	restore := u.psql(ctx, "postgres")
	restore.Stdin = strings.NewReader(strings.Replace(string(roles), "CREATE ROLE "+superuser+";\n", "", 1))
	if out, err := restore.CombinedOutput(); err != nil {
		return fmt.Errorf("restore the roles: %w: %s", err, lastLines(string(out), 20))
	}
	return nil
}

// copyDatabase pipes a dump of a database into the new cluster.
func (u *upgrade) copyDatabase(ctx context.Context, name string) error {
	tables, err := tablesOf(ctx, u.old, name)
	if err != nil {
		return err
	}
	args := []string{"--verbose", "--dbname", name}
	target := name
	if name != "postgres" { // initdb has created that one
		args, target = append(args, "--create"), "postgres"
	}
	dump, restore := u.client(ctx, u.old, "pg_dump", args...), u.psql(ctx, target)
	data, err := dump.StdoutPipe()
	if err != nil {
		return err
	}
	messages, err := dump.StderrPipe()
	if err != nil {
		return err
	}
	var output bytes.Buffer
	restore.Stdin, restore.Stdout, restore.Stderr = data, &output, &output
	if err := restore.Start(); err != nil {
		return fmt.Errorf("start psql: %w", err)
	}
	err = dump.Start()
	_ = data.Close() // so that the dump ends if psql does
	last := ""
	if err == nil {
		last = u.reportTables(bufio.NewScanner(messages), name, len(tables))
		err = dump.Wait()
	}
	if restoreErr := restore.Wait(); restoreErr != nil {
		return fmt.Errorf("restore: %w: %s", restoreErr, lastLines(output.String(), 20))
	}
	if err != nil {
		return fmt.Errorf("dump: %w: %s", err, last)
	}
	return nil
}

// reportTables reports the progress of a dump, at most once a second, and returns its last message.
func (u *upgrade) reportTables(messages *bufio.Scanner, database string, total int) (last string) {
	var reported time.Time
	for n := 0; messages.Scan(); {
		last = messages.Text()
		_, table, found := strings.Cut(last, "dumping contents of table ")
		if !found {
			continue
		}
		if n++; time.Since(reported) >= time.Second {
			reported = time.Now()
			u.step("copying table %d of %d of the database %s: %s", n, total, database, strings.Trim(table, `"`))
		}
	}
	return last
}

// compare returns an error if a database does not have the same tables with the same number of rows in both clusters.
func (u *upgrade) compare(ctx context.Context, name string) error {
	tables, err := tablesOf(ctx, u.old, name)
	if err != nil {
		return err
	}
	copied, err := tablesOf(ctx, u.new, name)
	if err != nil {
		return err
	}
	if !slices.Equal(tables, copied) {
		return fmt.Errorf("the new cluster has other tables: %d instead of %d", len(copied), len(tables))
	}
	if len(tables) == 0 {
		return nil
	}
	u.step("comparing the number of rows of %d tables of the database %s", len(tables), name)
	from, err := connect(ctx, u.old, name)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close(ctx) }()
	to, err := connect(ctx, u.new, name)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close(ctx) }()
	rows := int64(0)
	for _, table := range tables {
		before, err := countRows(ctx, from, table)
		after, newErr := countRows(ctx, to, table)
		if err := errors.Join(err, newErr); err != nil {
			return err
		}
		if before != after {
			return fmt.Errorf("the table %s has %d rows, and %d rows in the new cluster", table, before, after)
		}
		rows += after
	}
	u.step("the database %s has all %d rows", name, rows)
	return nil
}

// tablesOf returns the names of all tables of a database, quoted.
func tablesOf(ctx context.Context, c *Cluster, database string) ([]string, error) {
	conn, err := connect(ctx, c, database)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	tables, err := readColumn(ctx, conn, `SELECT format('%I.%I', s.nspname, c.relname)
		FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
		WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND s.nspname <> 'information_schema' AND s.nspname !~ '^pg_'
		ORDER BY s.nspname, c.relname`)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	return tables, nil
}

func countRows(ctx context.Context, conn *pgx.Conn, table string) (n int64, err error) {
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the rows of %s: %w", table, err)
	}
	return n, nil
}
