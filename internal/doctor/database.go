package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/snapwatch/snapwatch/internal/finding"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/embedded"
	"github.com/snapwatch/snapwatch/store/inspection"
)

// examineDatabase checks the database, and the private cluster if there is no other.
func (c *Config) examineDatabase(ctx context.Context) (findings []finding.Finding) {
	address := c.DatabaseURL
	var cluster *embedded.Inspection
	if address == "" {
		inspected, err := embedded.Inspect(ctx, c.DataDir, c.Database.PostgresBin)
		findings = append(findings, checkCluster(inspected)...)
		findings = append(findings, checkDisk(inspected.Disk, err))
		if !inspected.Running {
			return findings
		}
		cluster = &inspected
		if address, err = embedded.FindURL(c.DataDir); err != nil {
			return append(findings, problem("database", err.Error(), "name the data directory with --data-dir"))
		}
	}
	database, err := inspection.Connect(ctx, address)
	if err != nil {
		return append(findings, unreachable(err, cluster != nil))
	}
	defer database.Close()
	server, err := database.Server(ctx)
	if err != nil {
		return append(findings, problem("database", err.Error(), "check the log of the database"))
	}
	findings = append(findings, checkVersion(server))
	findings = append(findings, checkLocale(server), checkDurability(server), checkRole(server), checkWritable(server))
	findings = append(findings, checkConnections(server, c.Server.MaxConns), checkDatabaseClock(server.Ahead))
	sessions, err := database.CheckSessions(ctx)
	if listen := c.Database.ListenDatabaseURL; listen != "" {
		sessions.NoNotifications = false // of no importance
		findings = append(findings, checkListening(ctx, listen, database))
	}
	if sessions.Pooler && !sessions.Shared {
		opened := database.CountConnections(ctx, c.Server.MaxConns+1, poolTimeout)
		findings = append(findings, checkPoolSize(opened, server.Servers, c.Server.MaxConns))
	}
	findings = append(findings, checkSessions(sessions, err))
	findings = append(findings, examineSchema(ctx, address, cluster)...)
	extension, err := database.Timescale(ctx)
	return append(findings, checkTimescale(extension, err)...)
}

// unreachable returns the finding for a failed connection.
func unreachable(err error, private bool) finding.Finding {
	fix := "check that the database runs, that DATABASE_URL has its address, and that no firewall blocks it"
	failure, isAnswer := errors.AsType[*pgconn.PgError](err)
	switch {
	case private:
		fix = "run the command as the user of the server, or as root; otherwise read postgres.log in the data directory"
	case isAnswer && failure.Code == pgerrcode.InvalidCatalogName:
		fix = "create the database, or correct its name in DATABASE_URL"
	case isAnswer && pgerrcode.IsInvalidAuthorizationSpecification(failure.Code):
		fix = "correct the role and the password in DATABASE_URL, and allow the connection in pg_hba.conf"
	case isAnswer && failure.Code == pgerrcode.TooManyConnections:
		fix = "raise max_connections of the database, or end what uses its connections"
	case isAnswer && failure.Code == pgerrcode.CannotConnectNow:
		fix = "wait until the database has started, and read its log"
	}
	return problem("database", firstLine(err), fix)
}

// firstLine returns the text of an error in one line.
func firstLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func checkVersion(s inspection.Server) finding.Finding {
	if s.VersionNum < embedded.MinMajor*10000 {
		return problem("database", "PostgreSQL "+s.Version+" is too old",
			fmt.Sprintf("upgrade to PostgreSQL %d or newer", embedded.MinMajor))
	}
	return good("database", "PostgreSQL "+s.Version+" responds")
}

func checkLocale(s inspection.Server) finding.Finding {
	detail := fmt.Sprintf("encoding %s, collation %s", s.Encoding, s.Collation)
	switch {
	case s.Encoding != "UTF8":
		return problem("locale", detail, "create a new database with: CREATE DATABASE name ENCODING 'UTF8' LOCALE 'C' "+
			"TEMPLATE template0, and move the data with pg_dump")
	case s.CollationOutdated:
		return problem(
			"locale",
			detail+", which an upgrade of the operating system has changed: indexes of text may be wrong",
			"run REINDEX DATABASE and then ALTER DATABASE name REFRESH COLLATION VERSION while the server is stopped",
		)
	case s.Collation != "C" && s.Collation != "POSIX" && s.Collation != "C.UTF-8" && s.Collation != "C.utf8":
		return note(
			"locale",
			detail,
			"a new database is a little faster with LOCALE 'C', whose order also never changes with "+
				"an upgrade of the operating system",
		)
	}
	return good("locale", detail)
}

func checkDurability(s inspection.Server) finding.Finding {
	if len(s.Unsafe) > 0 {
		list := strings.Join(s.Unsafe, ", ")
		return problem(
			"durability",
			list+" is off",
			"set "+list+" to on in postgresql.conf, for the database and for the role: "+
				"without it, a crash or time itself damages or loses data",
		)
	}
	if !s.Checksums {
		return note("durability", "fsync, full_page_writes and synchronous_commit are on",
			"stop the database and run pg_checksums --enable, so that PostgreSQL notices damage of the disk")
	}
	return good("durability", "fsync, full_page_writes, synchronous_commit and checksums are on")
}

func checkRole(s inspection.Server) finding.Finding {
	if s.Superuser {
		return note("role", "the role of the server is a superuser",
			"use a role that only owns the database; docs/install.md shows how to create it")
	}
	return good("role", "the role of the server is not a superuser")
}

func checkWritable(s inspection.Server) finding.Finding {
	switch {
	case s.Standby:
		return problem("writes", "the database is a standby, which accepts no changes",
			"set DATABASE_URL to the primary, or add target_session_attrs=read-write to it")
	case s.ReadOnly:
		return problem("writes", "transactions are read-only by default",
			"set default_transaction_read_only to off for the database and the role, if it is not on for a reason")
	}
	return good("writes", "the database accepts changes")
}

// checkConnections compares the limits of the database with the connections of all servers.
func checkConnections(s inspection.Server, maxConns int) finding.Finding {
	servers := max(s.Servers, 1)
	needed := servers * (maxConns + 1)
	available, limit := s.MaxConnections-s.ReservedConnections, "max_connections"
	if s.DatabaseConnections >= 0 && s.DatabaseConnections < available {
		available, limit = s.DatabaseConnections, "the limit of the database"
	}
	if s.RoleConnections >= 0 && s.RoleConnections < available {
		available, limit = s.RoleConnections, "the limit of the role"
	}
	detail := fmt.Sprintf("%d servers need up to %d connections, and %s allows %d", servers, needed, limit, available)
	if servers == 1 {
		detail = fmt.Sprintf("one server needs up to %d connections, and %s allows %d", needed, limit, available)
	}
	if needed > available {
		return problem("connections", detail, "raise "+limit+", or lower --max-conns of all servers")
	}
	return good("connections", detail)
}

func checkDatabaseClock(ahead time.Duration) finding.Finding {
	if ahead.Abs() > maxSkew {
		return problem("database clock", fmt.Sprintf("the clocks of the database and of this machine differ by %s",
			ahead.Abs().Round(time.Second)), "synchronise both clocks, for example with chrony or systemd-timesyncd")
	}
	return good("database clock", "the clocks of the database and of this machine agree")
}

func checkSessions(s inspection.Sessions, err error) finding.Finding {
	const fix = "set pool_mode of PgBouncer to session for this database, or set DATABASE_URL to the database itself"
	const listenFix = "set --listen-database-url to the address of the database itself"
	switch {
	case err != nil:
		return problem("connection mode", firstLine(err), "allow two connections of the server's role")
	case s.Shared:
		return problem(
			"connection mode",
			"a pooler in transaction or statement mode is in between: session settings and LISTEN do not work",
			fix,
		)
	case s.NoNotifications:
		return problem("connection mode", "a notification did not arrive, so live views would not update", listenFix)
	case s.Pooler:
		return good("connection mode", "a pooler in session mode is in between, and notifications arrive")
	}
	return good("connection mode", "direct, and notifications arrive")
}

// poolTimeout is how long the connections may take that checkPoolSize counts.
const poolTimeout = 5 * time.Second

// minSpare is how many connections a pooler must have left while servers run. They hold those that they need already.
const minSpare = 3

// checkPoolSize compares the connections that a pooler has provided, besides those of running servers, with those that
// a server needs.
func checkPoolSize(opened, servers, maxConns int) finding.Finding {
	needed := maxConns + 1
	if servers > 0 {
		needed = minSpare
	}
	if opened < needed {
		return problem("pool size", fmt.Sprintf("the connection pooler has provided %d more connections, and a server "+
			"uses up to %d", opened, maxConns+1), fmt.Sprintf("set default_pool_size of PgBouncer to at least %d for "+
			"each server, or lower --max-conns", maxConns+1))
	}
	return good("pool size", fmt.Sprintf("the connection pooler has room for %d more connections", opened))
}

// checkListening checks whether the address for notifications receives those of the database.
func checkListening(ctx context.Context, address string, database *inspection.Database) finding.Finding {
	const what = "notifications"
	listener, err := inspection.Connect(ctx, address)
	if err != nil {
		return problem(what, firstLine(err), "correct SNAPWATCH_LISTEN_DATABASE_URL")
	}
	defer listener.Close()
	switch received, err := listener.ReceivesFrom(ctx, database); {
	case err != nil:
		return problem(what, firstLine(err), "correct SNAPWATCH_LISTEN_DATABASE_URL")
	case !received:
		return problem(what, "what is sent at the address of the database does not arrive at that of "+
			"--listen-database-url", "set it to the address of the same database, without a pooler in between")
	}
	return good(what, "they arrive at the address of --listen-database-url")
}

// examineSchema checks the schema and the stored history.
func examineSchema(ctx context.Context, address string, cluster *embedded.Inspection) []finding.Finding {
	status, profile, err := store.SchemaStatus(ctx, address)
	if err != nil {
		return []finding.Finding{problem("schema", firstLine(err), "check the rights of the server's role")}
	}
	if err := status.Check(); err != nil {
		return []finding.Finding{problem("schema", err.Error(), "start the server of this version, which migrates the "+
			"schema, or run snapwatch migrate up")}
	}
	findings := []finding.Finding{
		good("schema", fmt.Sprintf("version %d is up to date", status.Version)), good("storage profile", profile),
	}
	if profile == "" {
		profile = backend.Postgres
	}
	history, err := store.ReadHistoryStatus(ctx, address, profile)
	if err != nil {
		return append(findings, problem("history", firstLine(err), "check the log of the database"))
	}
	findings = append(findings, checkRollups(history))
	if cluster != nil && cluster.Tables.Level != embedded.DiskUnknown {
		findings = append(findings, checkRetention(history.Storage, cluster.Tables, time.Now()))
	}
	return findings
}

func checkTimescale(t *inspection.Timescale, err error) []finding.Finding {
	const what = "TimescaleDB"
	switch {
	case err != nil:
		return []finding.Finding{problem(what, firstLine(err), "check the rights of the server's role")}
	case t == nil:
		return nil
	case t.License != "timescale":
		return []finding.Finding{problem(
			what,
			t.Version+" with the licence "+t.License,
			"install the Community edition, and set timescaledb.license to timescale: compression and aggregates "+
				"need it",
		)}
	case t.Restoring:
		return []finding.Finding{problem(what, "the database is in the mode for restoring, in which no jobs run",
			"run SELECT timescaledb_post_restore() as a superuser")}
	case t.MaxWorkers == 0:
		return []finding.Finding{problem(what, "it may not use background workers, so its jobs never run",
			"set timescaledb.max_background_workers to 16, and restart the database")}
	case len(t.Failed) > 0:
		return []finding.Finding{problem(what, "the last run of these jobs failed: "+strings.Join(t.Failed, ", "),
			"find the reason in the log of the database or in timescaledb_information.job_errors")}
	case t.Overdue > 0:
		return []finding.Finding{problem(what, fmt.Sprintf("%d jobs are more than an hour late", t.Overdue),
			"check that the log of the database has no errors of background workers, and raise max_worker_processes")}
	}
	detail := t.Version + " Community, and no job has failed"
	if wanted := 3 + t.MaxWorkers + t.MaxParallel; t.MaxProcesses < wanted {
		return []finding.Finding{
			note(what, detail, fmt.Sprintf("set max_worker_processes, which is %d, to %d, so that jobs and "+
				"parallel queries do not wait for workers", t.MaxProcesses, wanted)),
		}
	}
	return []finding.Finding{good(what, detail)}
}
