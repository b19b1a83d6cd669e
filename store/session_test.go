package store_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/pgsession"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/accounts"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// unusualSettings change how values are written as text and the meaning of statements.
var unusualSettings = map[string]string{
	"datestyle":                      "SQL, DMY",
	"intervalstyle":                  "sql_standard",
	"timezone":                       "America/St_Johns",
	"extra_float_digits":             "-15",
	"bytea_output":                   "escape",
	"quote_all_identifiers":          "on",
	"array_nulls":                    "off",
	"transform_null_equals":          "on",
	"default_transaction_isolation":  "serializable",
	"default_transaction_deferrable": "on",
}

// settingsOfDatabase are settings that the connection URL may override.
var settingsOfDatabase = map[string]string{
	"client_encoding":                     "LATIN1",
	"standard_conforming_strings":         "off",
	"statement_timeout":                   "200ms",
	"lock_timeout":                        "50ms",
	"idle_in_transaction_session_timeout": "50ms",
	"idle_session_timeout":                "2s", // which a connection can need on a busy machine
}

// withUnusualSettings returns the database with settings that an administrator might choose for other programs.
func withUnusualSettings(t *testing.T, db storetest.Database) storetest.Database {
	t.Helper()
	if db.Detection.Profile == backend.Timescale && os.Getenv("SNAPWATCH_TEST_TIMESCALE") == "" {
		// The only session of PGlite began before it could have such defaults.
		address, err := url.Parse(db.URL)
		if err != nil {
			t.Fatal(err)
		}
		parameters := address.Query()
		for name, value := range unusualSettings {
			parameters.Set(name, value)
		}
		address.RawQuery = strings.ReplaceAll(parameters.Encode(), "+", "%20")
		db.URL = address.String()
		return db
	}
	conn := storetest.ConnectAdmin(t, db)
	database := pgx.Identifier{conn.Config().Database}.Sanitize()
	for _, settings := range []map[string]string{unusualSettings, settingsOfDatabase} {
		for name, value := range settings {
			if _, err := conn.Exec(t.Context(), "ALTER DATABASE "+database+" SET "+name+" = '"+value+"'"); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	return db
}

// Posts, late posts, maintenance and reads do not depend on settings of the database.
func TestSettingsOfDatabase(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		usual := readBack(t, db)
		for i, got := range readBack(t, withUnusualSettings(t, db)) {
			if got != usual[i] {
				t.Errorf("read %d, with other settings:\n%s\nusually:\n%s", i, got, usual[i])
			}
		}
	})
}

// readBack stores snapshots of a machine, some of them late, runs maintenance, and returns what the queries return.
func readBack(t *testing.T, db storetest.Database) (results []string) {
	t.Helper()
	const machineID = "m"
	s := db.Open(t, nil)
	start := storetest.Recent()
	series := snapshottest.NewMachine(1, 10).Series(start, 90, 30*time.Second, 10)
	last := series.Snapshots[80:]
	storetest.Write(t, s, machineID, last...)
	if ack := storetest.Write(t, s, machineID, series.Snapshots...); ack.Stored != 80 || ack.Duplicates != 10 {
		t.Errorf("late post: %d stored, %d duplicates", ack.Stored, ack.Duplicates)
	}
	storetest.RefreshAll(t, db, s)
	to := start.Add(46 * time.Minute)
	add := func(value any, err error) {
		t.Helper()
		text, jsonErr := json.Marshal(value)
		if err := errors.Join(err, jsonErr); err != nil {
			t.Fatal(err)
		}
		results = append(results, string(text))
	}
	everything := query.Range{From: start, To: to, Limit: 1000, Processes: true}
	states, _, err := s.Snapshots(t.Context(), machineID, everything)
	add(states, err)
	for i, state := range states {
		if diff := snapshottest.Diff(state.Processes, series.Expected[i]); diff != "" {
			t.Errorf("snapshot %d: %s", i, diff)
		}
	}
	add(s.At(t.Context(), machineID, start.Add(time.Minute), true))
	for _, resolution := range []query.Resolution{query.ResolutionRaw, query.ResolutionMinute, query.ResolutionDay} {
		chart, _, err := s.Chart(t.Context(), machineID, start, to, resolution, 1000)
		add(chart, err)
	}
	top, _, err := s.Top(t.Context(), query.UsageQuery{
		MachineID: machineID, From: start, To: to, Order: query.ByCPU, Limit: 10,
	})
	add(top, err)
	process := slices.MaxFunc(series.Expected[80], func(a, b snapshot.Process) int { return int(a.PID - b.PID) })
	add(s.ProcessLifetime(t.Context(), machineID, process.PID, process.StartedAt))
	if err := s.Delete(t.Context(), machineID); err != nil {
		t.Error(err)
	}
	if err := s.MaintainOnce(t.Context()); err != nil {
		t.Error(err)
	}
	return results
}

// An empty database with such settings gets the same schema.
func TestMigrateWithUnusualSettings(t *testing.T) {
	t.Parallel()
	db := storetest.Database{
		URL: storetest.EmptyURL(t), Detection: store.Detection{Profile: backend.Postgres},
	}
	db = withUnusualSettings(t, db)
	if _, err := store.Migrate(t.Context(), db.URL, backend.Postgres, storetest.Logger()); err != nil {
		t.Fatal(err)
	}
	readBack(t, db)
}

// The parameters of a session do not depend on the defaults of the database. Timeouts of the URL are kept.
func TestSessionParameters(t *testing.T) {
	t.Parallel()
	address := storetest.EmptyURL(t)
	conn := storetest.Connect(t, address)
	database := pgx.Identifier{conn.Config().Database}.Sanitize()
	want := make(map[string]string)
	for _, p := range []struct{ name, changed, want string }{
		{"client_encoding", "LATIN1", "UTF8"},
		{"standard_conforming_strings", "off", "on"},
		{"datestyle", "SQL, DMY", "ISO, MDY"},
		{"intervalstyle", "iso_8601", "postgres"},
		{"timezone", "Asia/Kathmandu", "UTC"},
		{"bytea_output", "escape", "hex"},
		{"extra_float_digits", "-15", "1"},
		{"quote_all_identifiers", "on", "off"},
		{"array_nulls", "off", "on"},
		{"transform_null_equals", "on", "off"},
		{"default_transaction_isolation", "serializable", "read committed"},
		{"default_transaction_deferrable", "on", "off"},
		{"jit", "on", "off"},
		{"statement_timeout", "1min", "0"},
		{"lock_timeout", "1min", "7s"},
		{"idle_in_transaction_session_timeout", "1min", "0"},
		{"idle_session_timeout", "1min", "8s"},
		{"default_transaction_read_only", "on", "on"},
		{"search_path", "elsewhere", "elsewhere"},
		{"application_name", "unnamed", "test"},
	} {
		want[p.name] = p.want
		if _, err := conn.Exec(
			t.Context(), "ALTER DATABASE "+database+" SET "+p.name+" = '"+p.changed+"'",
		); err != nil {
			t.Fatal(err)
		}
	}
	config, err := pgx.ParseConfig(address + "&lock_timeout=7s&options=-c%20idle_session_timeout%3D8s")
	if err != nil {
		t.Fatal(err)
	}
	pgsession.Configure(&config.Config, "test", 0, 0)
	configured, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = configured.Close(t.Context()) }()
	for name, value := range want {
		var got string
		if err := configured.QueryRow(t.Context(), "SHOW "+name).Scan(&got); err != nil || got != value {
			t.Errorf("%s is %q, want %q (%v)", name, got, value, err)
		}
	}
}

// In Turkish, the lower case of I is ı. Searches and user names follow the same rules as everywhere else.
func TestLocaleOfDatabase(t *testing.T) {
	t.Parallel()
	db := storetest.Database{
		URL: storetest.EmptyURLOfLocale(t, "tr"), Detection: store.Detection{Profile: backend.Postgres},
	}
	if _, err := store.Migrate(t.Context(), db.URL, backend.Postgres, storetest.Logger()); err != nil {
		t.Fatal(err)
	}
	s := db.Open(t, nil)
	ppid := int32(0)
	storetest.Write(t, s, "m", snapshot.Snapshot{
		Timestamp: storetest.Recent(), Kind: snapshot.KindFull,
		Processes: []snapshot.ProcessSample{{PID: 1, PPID: &ppid, Name: "INIT", CommandLine: "/SBIN/INIT"}},
	})
	page := query.FleetPage{View: query.AllMachines(), Limit: 10}
	found, _, err := s.FleetAt(t.Context(), query.Match{Text: "*bin/init"}, storetest.Recent(), page)
	if err != nil || len(found) != 1 {
		t.Errorf("search: %d machines, %v", len(found), err)
	}
	a := s.Accounts()
	user := accounts.User{Name: "IRINA", Role: "user", CreatedAt: storetest.Recent().Std()}
	if err := a.CreateUser(t.Context(), &user); err != nil {
		t.Fatal(err)
	}
	if got, err := a.User(t.Context(), "irina"); err != nil || got.Name != "IRINA" {
		t.Errorf("look-up: %+v, %v", got, err)
	}
	entry := accounts.Entry{
		At: storetest.Recent().Std(), Actor: "token ŽLUŤÝ", Action: "token.created", Target: "IRINA",
	}
	if err := a.Record(t.Context(), &entry); err != nil {
		t.Fatal(err)
	}
	entries, err := a.Audit(t.Context(), accounts.AuditQuery{
		Actor: "*žluťý", Target: "irin*", From: entry.At, To: entry.At.Add(time.Second), Limit: 10,
	})
	if err != nil || len(entries) != 1 {
		t.Errorf("audit log: %d entries, %v", len(entries), err)
	}
	user.Name = "irina"
	if err := a.CreateUser(t.Context(), &user); !errors.Is(err, accounts.ErrExists) {
		t.Errorf("a second user of the same name: %v", err)
	}
}
