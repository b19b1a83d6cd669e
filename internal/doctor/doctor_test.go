package doctor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/finding"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/embedded"
	"github.com/snapwatch/snapwatch/store/inspection"
	"github.com/snapwatch/snapwatch/store/query"
)

// healthy returns a server without a problem.
func healthy(change func(*inspection.Server)) inspection.Server {
	s := inspection.Server{
		Version: "17.2", VersionNum: 170002, Encoding: "UTF8", Collation: "C", Checksums: true, MaxConnections: 100,
		ReservedConnections: 3, DatabaseConnections: -1, RoleConnections: -1, Servers: 1,
	}
	if change != nil {
		change(&s)
	}
	return s
}

// check compares a finding with its mark and a part of its advice.
func check(t *testing.T, name string, f finding.Finding, mark, advice string) {
	t.Helper()
	got := "ok"
	switch {
	case !f.OK:
		got = "wrong"
	case f.Hint != "":
		got = "note"
	}
	if f.OK != (f.Fix == "") || !f.OK && f.Hint != "" || f.What == "" || f.Detail == "" {
		t.Errorf("%s: a fix belongs to a problem, and a hint to a check without one: %+v", name, f)
	}
	if got != mark || !strings.Contains(f.Fix+f.Hint, advice) {
		t.Errorf("%s: %s, want %s with %q: %+v", name, got, mark, advice, f)
	}
}

func TestDatabaseFindings(t *testing.T) {
	t.Parallel()
	type server = inspection.Server
	connections := func(maxConns int) func(server) finding.Finding {
		return func(s server) finding.Finding { return checkConnections(s, maxConns) }
	}
	for name, test := range map[string]struct {
		check        func(server) finding.Finding
		change       func(*server)
		mark, advice string
	}{
		"version":            {checkVersion, nil, "ok", ""},
		"oldest version":     {checkVersion, func(s *server) { s.VersionNum = 150000 }, "ok", ""},
		"old version":        {checkVersion, func(s *server) { s.VersionNum = 140019 }, "wrong", "PostgreSQL 15"},
		"locale":             {checkLocale, nil, "ok", ""},
		"encoding":           {checkLocale, func(s *server) { s.Encoding = "LATIN1" }, "wrong", "ENCODING 'UTF8'"},
		"collation":          {checkLocale, func(s *server) { s.Collation = "de_DE.UTF-8" }, "note", "LOCALE 'C'"},
		"outdated collation": {checkLocale, func(s *server) { s.CollationOutdated = true }, "wrong", "REINDEX"},
		"durability":         {checkDurability, nil, "ok", ""},
		"fsync": {checkDurability, func(s *server) { s.Unsafe = []string{"fsync"} }, "wrong", "set " +
			"fsync to on"},
		"checksums":           {checkDurability, func(s *server) { s.Checksums = false }, "note", "pg_checksums"},
		"role":                {checkRole, nil, "ok", ""},
		"superuser":           {checkRole, func(s *server) { s.Superuser = true }, "note", "docs/install.md"},
		"writes":              {checkWritable, nil, "ok", ""},
		"standby":             {checkWritable, func(s *server) { s.Standby = true }, "wrong", "primary"},
		"read-only":           {checkWritable, func(s *server) { s.ReadOnly = true }, "wrong", "transaction_read_only"},
		"connections":         {connections(96), nil, "ok", ""},
		"too few connections": {connections(97), nil, "wrong", "max_connections"},
		"two servers":         {connections(48), func(s *server) { s.Servers = 2 }, "wrong", "max_connections"},
		"no listener":         {connections(20), func(s *server) { s.Servers = 0 }, "ok", ""},
		"database limit": {connections(20), func(s *server) { s.DatabaseConnections = 20 }, "wrong", "limit of " +
			"the database"},
		"role limit": {connections(20), func(s *server) { s.RoleConnections = 20 }, "wrong", "limit of the " +
			"role"},
	} {
		check(t, name, test.check(healthy(test.change)), test.mark, test.advice)
	}
	check(t, "clock", checkDatabaseClock(-4*time.Second), "ok", "")
	check(t, "slow clock", checkDatabaseClock(-6*time.Second), "wrong", "chrony")
	check(t, "fast clock", checkDatabaseClock(time.Hour), "wrong", "chrony")
	type sessions = inspection.Sessions
	check(t, "direct", checkSessions(sessions{}, nil), "ok", "")
	check(t, "session mode", checkSessions(sessions{Pooler: true}, nil), "ok", "")
	check(t, "transaction mode", checkSessions(sessions{Pooler: true, Shared: true}, nil), "wrong", "pool_mode")
	check(t, "no notifications", checkSessions(sessions{NoNotifications: true}, nil), "wrong", "--listen-database-url")
	check(t, "no second connection", checkSessions(sessions{}, errors.New("x")), "wrong", "two connections")
	for code, advice := range map[string]string{
		pgerrcode.InvalidPassword: "pg_hba.conf", pgerrcode.InvalidCatalogName: "create the database",
		pgerrcode.TooManyConnections: "max_connections", pgerrcode.CannotConnectNow: "has started",
	} {
		check(t, code, unreachable(&pgconn.PgError{Code: code}, false), "wrong", advice)
	}
	check(t, "refused", unreachable(errors.New("connection refused"), false), "wrong", "firewall")
	check(t, "private", unreachable(errors.New("permission denied"), true), "wrong", "user of the server")
}

func TestPoolSizeFindings(t *testing.T) {
	t.Parallel()
	check(t, "room for a server", checkPoolSize(21, 0, 20), "ok", "")
	check(t, "too small for a server", checkPoolSize(20, 0, 20), "wrong", "default_pool_size")
	check(t, "a server runs, with room", checkPoolSize(3, 1, 20), "ok", "")
	check(t, "servers run, without room", checkPoolSize(0, 2, 20), "wrong", "default_pool_size")
}

func TestTimescaleFindings(t *testing.T) {
	t.Parallel()
	good := inspection.Timescale{
		Version:      "2.18.0",
		License:      "timescale",
		MaxWorkers:   16,
		MaxProcesses: 27,
		MaxParallel:  8,
	}
	for name, test := range map[string]struct {
		change       func(*inspection.Timescale)
		mark, advice string
	}{
		"good":       {func(*inspection.Timescale) {}, "ok", ""},
		"licence":    {func(s *inspection.Timescale) { s.License = "apache" }, "wrong", "Community"},
		"restoring":  {func(s *inspection.Timescale) { s.Restoring = true }, "wrong", "post_restore"},
		"no workers": {func(s *inspection.Timescale) { s.MaxWorkers = 0 }, "wrong", "max_background_workers"},
		"failed":     {func(s *inspection.Timescale) { s.Failed = []string{"policy (job 1)"} }, "wrong", "job_errors"},
		"overdue":    {func(s *inspection.Timescale) { s.Overdue = 2 }, "wrong", "max_worker_processes"},
		"processes":  {func(s *inspection.Timescale) { s.MaxProcesses = 26 }, "note", "to 27"},
	} {
		changed := good
		test.change(&changed)
		check(t, name, checkTimescale(&changed, nil)[0], test.mark, test.advice)
	}
	check(t, "error", checkTimescale(nil, errors.New("x"))[0], "wrong", "rights")
	if found := checkTimescale(nil, nil); len(found) != 0 {
		t.Errorf("without TimescaleDB: %+v", found)
	}
}

func TestClusterFindings(t *testing.T) {
	t.Parallel()
	running := embedded.Inspection{Dir: "/d", Major: 17, BinDir: "/b", Running: true, Log: "/d/postgres.log"}
	for name, test := range map[string]struct {
		change       func(*embedded.Inspection)
		mark, advice string
	}{
		"running":  {func(*embedded.Inspection) {}, "ok", ""},
		"stopped":  {func(c *embedded.Inspection) { c.Running = false }, "wrong", "/d/postgres.log"},
		"none":     {func(c *embedded.Inspection) { c.Major = 0 }, "wrong", "--data-dir"},
		"replaced": {func(c *embedded.Inspection) { c.Replaced = true }, "wrong", "restarts the database"},
		"missing": {
			func(c *embedded.Inspection) { c.Missing = embedded.ErrNoBinaries }, "wrong", "PostgreSQL 17 again",
		},
		"no program": {
			func(c *embedded.Inspection) { c.Major, c.Missing = 0, embedded.ErrNoBinaries }, "wrong", "DATABASE_URL",
		},
	} {
		changed := running
		test.change(&changed)
		found := checkCluster(changed)
		check(t, name, found[len(found)-1], test.mark, test.advice)
	}
	gib := uint64(1 << 30)
	check(t, "disk", checkDisk(embedded.Disk{Level: embedded.DiskOK, Free: gib, Total: 2 * gib}, nil), "ok", "")
	check(
		t,
		"full",
		checkDisk(embedded.Disk{Level: embedded.DiskFull, Total: gib, Required: gib}, nil),
		"wrong",
		"free some",
	)
	check(
		t,
		"low",
		checkDisk(embedded.Disk{Level: embedded.DiskLow, Total: gib, Required: gib}, nil),
		"wrong",
		"free some",
	)
	check(t, "no disk", checkDisk(embedded.Disk{}, errors.New("x")), "wrong", "data directory")
}

func TestStorageFindings(t *testing.T) {
	t.Parallel()
	now := time.Now()
	disk := embedded.Disk{Free: 100 << 20, Required: 10 << 20, Level: embedded.DiskOK}
	perDay := func(bytes int64) *int64 { return &bytes }
	history := func(change func(*query.Storage)) *query.Storage {
		s := &query.Storage{
			Bytes: 20 << 20, BytesPerDay: perDay(4 << 20), Oldest: snapshot.TimeOf(now.AddDate(0, 0, -10)),
			Retention: backend.Retention{RawDays: 30},
		}
		change(s)
		return s
	}
	for name, test := range map[string]struct {
		change       func(*query.Storage)
		mark, advice string
	}{
		"fits": {func(*query.Storage) {}, "ok", ""},
		"grows too much": {func(s *query.Storage) { s.BytesPerDay = perDay(5 << 20) }, "wrong", "shorten the " +
			"retention"},
		"is complete": {func(s *query.Storage) {
			s.Oldest, s.BytesPerDay = snapshot.TimeOf(now.AddDate(0, 0, -31)), perDay(1<<40)
		}, "ok", ""},
		"is new": {func(s *query.Storage) { s.BytesPerDay = nil }, "ok", ""},
		"budget": {func(s *query.Storage) { s.Retention.BudgetBytes = 110 << 20 }, "ok", ""},
		"budget too large": {func(s *query.Storage) { s.Retention.BudgetBytes = 111 << 20 }, "wrong", "less than " +
			"110 MiB"},
	} {
		check(t, name, checkRetention(history(test.change), disk, now), test.mark, test.advice)
	}
	rollups := func(failed int64, behind time.Duration) finding.Finding {
		return checkRollups(&store.HistoryStatus{Storage: &query.Storage{RollupsFailed: failed}, RollupsBehind: behind})
	}
	check(t, "rollups", rollups(0, 3*time.Hour), "ok", "")
	check(t, "rollups behind", rollups(0, 3*time.Hour+1), "wrong", "its log")
	check(t, "rollups failed", rollups(1, 0), "wrong", "server's log")
}

func TestLimitFindings(t *testing.T) {
	t.Parallel()
	text := func(maxFiles, open, loopback, public string) metrics {
		t.Helper()
		m, err := parseMetrics([]byte("process_max_fds " + maxFiles + "\nprocess_open_fds " + open + "\n" +
			"# TYPE " + ignoredHeaders + " counter\n" +
			ignoredHeaders + `{scope="loopback"} ` + loopback + "\n" +
			ignoredHeaders + `{scope="public"} ` + public + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	cfg := &Config{Access: config.Access{MaxConnections: 1000}, Server: config.Server{MaxConns: 20, MaxSockets: 80}}
	check(t, "files", cfg.checkFileLimit(text("1300", "10", "0", "0")), "ok", "")
	check(t, "few files", cfg.checkFileLimit(text("1299", "10", "0", "0")), "note", "LimitNOFILE")
	check(t, "files in use", cfg.checkFileLimit(text("1000", "800", "0", "0")), "wrong", "LimitNOFILE")

	proxies := func(list ...string) *Config {
		return &Config{Access: config.Access{TrustedProxies: list}}
	}
	quiet := text("1", "0", "0", "0")
	check(t, "proxies", proxies("127.0.0.1", "10.0.0.0/8").checkProxies(quiet), "ok", "")
	check(t, "untrusted proxy", proxies().checkProxies(text("1", "0", "3", "0")), "wrong", "--trusted-proxies")
	check(t, "public headers", proxies().checkProxies(text("1", "0", "0", "3")), "note", "--trusted-proxies")
	check(t, "all trusted", proxies("::/0").checkProxies(quiet), "wrong", "addresses of the proxies")
	check(t, "no address", proxies("proxy").checkProxies(quiet), "wrong", "correct --trusted-proxies")
	check(t, "unknown", proxies().checkProxies(nil), "note", "--admin-listen")
}
