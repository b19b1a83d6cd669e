package inspection_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/store/inspection"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func connect(t *testing.T, url string) *inspection.Database {
	t.Helper()
	database, err := inspection.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	return database
}

func TestServer(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	listener := storetest.Connect(t, db.URL)
	admin := storetest.ConnectAdmin(t, db)
	name := listener.Config().Database
	for _, statement := range []string{
		"ALTER DATABASE " + name + " SET timezone = 'Asia/Tokyo'",
		"ALTER DATABASE " + name + " CONNECTION LIMIT 17",
		"ALTER DATABASE " + name + " SET default_transaction_read_only = on",
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := listener.Exec(t.Context(), "SET application_name = 'snapwatch listener'"); err != nil {
		t.Fatal(err)
	}
	got, err := connect(t, db.URL).Server(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The databases of tests are not durable.
	slices.Sort(got.Unsafe)
	if want := "fsync full_page_writes synchronous_commit"; strings.Join(got.Unsafe, " ") != want {
		t.Errorf("unsafe settings: %v, want %s", got.Unsafe, want)
	}
	if got.VersionNum < 150000 || !strings.HasPrefix(got.Version, fmt.Sprint(got.VersionNum/10000)) {
		t.Errorf("version %s, %d", got.Version, got.VersionNum)
	}
	if got.Encoding != "UTF8" || got.Collation != "C" || got.CollationOutdated || got.TimeZone != "Asia/Tokyo" {
		t.Errorf("locale: %+v", got)
	}
	if got.Ahead.Abs() > 5*time.Second || got.Standby || !got.ReadOnly || got.Superuser || !got.Checksums {
		t.Errorf("state: %+v", got)
	}
	if got.Servers != 1 || got.DatabaseConnections != 17 || got.RoleConnections != -1 || got.MaxConnections != 200 ||
		got.ReservedConnections < 3 {
		t.Errorf("connections: %+v", got)
	}
	if extension, err := connect(t, db.URL).Timescale(t.Context()); extension != nil || err != nil {
		t.Errorf("TimescaleDB: %+v, %v", extension, err)
	}
	if !must(connect(t, superuserURL(t, db.URL)).Server(t.Context())).Superuser {
		t.Error("the role postgres is not reported as a superuser")
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// superuserURL returns the URL of a database for the role postgres.
func superuserURL(t *testing.T, url string) string {
	t.Helper()
	changed := strings.Replace(url, "postgres://snapwatch@", "postgres://postgres@", 1)
	if changed == url {
		t.Fatalf("the URL %s has another form", url)
	}
	return changed
}

func TestTimescale(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		got, err := connect(t, db.URL).Timescale(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if db.Detection.Profile == "postgres" {
			return
		}
		if got == nil || got.License != "timescale" || !strings.HasPrefix(got.Version, "2.") || got.Restoring ||
			got.MaxProcesses == 0 || len(got.Failed) > 0 {
			t.Errorf("%+v", got)
		}
	})
}

// Nothing that is read for a support bundle has values of statements, or settings that can contain secrets.
func TestSupportHasNoValues(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	admin := storetest.ConnectAdmin(t, db)
	if _, err := admin.Exec(t.Context(),
		"ALTER DATABASE "+storetest.Connect(t, db.URL).Config().Database+" SET custom.secret = "+
			"'hunter22'"); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`SELECT 4711, 47.11 AS v1, E'it''s hunter22' AS "hunter22", $$hunter22$$, $x$hunter22$x$`,
		`SELECT 'hunter22 ` + strings.Repeat("x", 3000) + `'`,
		`SELECT 1 -- 'hunter22`,
		"SELECT 1 /* hunter22 */",
	} {
		for _, application := range []string{"snapwatch reads", "hunter22"} {
			conn := storetest.Connect(t, db.URL)
			if _, err := conn.Exec(t.Context(), "SET application_name = '"+application+"'"); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	database := connect(t, db.URL)
	sessions := must(database.Activity(t.Context()))
	settings := must(database.Settings(t.Context()))
	relations := must(database.Relations(t.Context()))
	text := fmt.Sprintf("%+v %+v %+v", sessions, settings, relations)
	for _, secret := range []string{"hunter22", "4711", "47.11"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in %.2000s", secret, text)
		}
	}
	if !slices.ContainsFunc(sessions, func(s inspection.Session) bool {
		return s.Application == "snapwatch reads" && strings.HasPrefix(s.Query, "SELECT ?, ? AS v1, ?")
	}) || !slices.ContainsFunc(sessions, func(s inspection.Session) bool {
		return s.Application == "other" && s.Query == "" && s.Backend == "client backend"
	}) {
		t.Errorf("sessions: %+v", sessions)
	}
	value := func(name string) string {
		i := slices.IndexFunc(settings, func(s inspection.Setting) bool { return s.Name == name })
		if i < 0 {
			return ""
		}
		return settings[i].Value
	}
	if value("max_connections") != "200" || value("fsync") != "off" || value("unix_socket_directories") != "" {
		t.Errorf("settings: %+v", settings)
	}
	if !slices.ContainsFunc(relations, func(r inspection.Relation) bool {
		return r.Name == "machines" && r.Schema == "public" && r.TotalBytes > 0
	}) {
		t.Errorf("relations: %+v", relations)
	}
}

func TestConnectHidesThePassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://snapwatch:hunter22@127.0.0.1:1/x", "postgres://snapwatch:hunter22@[/x", "host=127.0.0.1 port=x " +
			"password=hunter22",
	} {
		database, err := inspection.Connect(t.Context(), url)
		if err == nil {
			database.Close()
			t.Fatal("connected")
		}
		if strings.Contains(err.Error(), "hunter22") {
			t.Error(err)
		}
	}
}

func TestCheckSessions(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	for name, test := range map[string]struct {
		url  string
		want inspection.Sessions
	}{
		"direct":       {db.URL, inspection.Sessions{}},
		"session mode": {storetest.StartPgBouncer(t, db.URL, "session", 5), inspection.Sessions{Pooler: true}},
		"transaction mode": {
			storetest.StartPgBouncer(t, db.URL, "transaction", 5), inspection.Sessions{Pooler: true, Shared: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := connect(t, test.url).CheckSessions(t.Context())
			if err != nil || got != test.want {
				t.Errorf("%+v, %v, want %+v", got, err, test.want)
			}
			if _, err := connect(t, test.url).Server(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A pooler accepts all connections, and lets those wait that have no room in its pool.
func TestCountConnections(t *testing.T) {
	url := storetest.EmptyURL(t)
	if n := connect(t, url).CountConnections(t.Context(), 7, time.Minute); n != 7 {
		t.Errorf("%d connections without a pooler", n)
	}
	// The pool has five. The first connection uses none, because it has no statement.
	pooled := storetest.StartPgBouncer(t, url, "session", 5)
	if n := connect(t, pooled).CountConnections(t.Context(), 7, 2*time.Second); n != 5 {
		t.Errorf("%d connections through a pooler", n)
	}
}

func TestReceivesFrom(t *testing.T) {
	url := storetest.EmptyURL(t)
	for name, listener := range map[string]string{"same": url, "another": storetest.EmptyURL(t)} {
		got, err := connect(t, listener).ReceivesFrom(t.Context(), connect(t, url))
		if err != nil || got != (name == "same") {
			t.Errorf("the %s database: %v, %v", name, got, err)
		}
	}
}
