package store_test

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/migrations"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/migrator"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// describeSchema returns one line for each object of the schemas of snapwatch, with its definition.
func describeSchema(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `
		WITH ours AS (
			SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relkind, c.relacl, c.reloptions FROM pg_class c
			JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('public', 'history')
				AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
				AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
		)
		SELECT format('relation %s %s %s %s', name, relkind, relacl, reloptions) FROM ours
		UNION ALL SELECT format('column %s %s %s %s %s %s %s %s', o.name,
				row_number() OVER (PARTITION BY o.oid ORDER BY attnum), attname, format_type(atttypid, atttypmod), attnotnull,
				attidentity, pg_get_expr(adbin, adrelid), col_description(o.oid, attnum))
			FROM ours o JOIN pg_attribute a ON a.attrelid = o.oid LEFT JOIN pg_attrdef d ON d.adrelid = o.oid AND d.adnum = attnum
			WHERE attnum > 0 AND NOT attisdropped AND relkind <> 'i'
		UNION ALL SELECT format('index %s', pg_get_indexdef(oid)) FROM ours WHERE relkind IN ('i', 'I')
		UNION ALL SELECT format('view %s %s', name, pg_get_viewdef(oid)) FROM ours WHERE relkind IN ('v', 'm')
		UNION ALL SELECT format('constraint %s %s %s', o.name, conname, pg_get_constraintdef(c.oid))
			FROM pg_constraint c JOIN ours o ON o.oid = conrelid
		UNION ALL SELECT format('trigger %s', pg_get_triggerdef(t.oid)) FROM pg_trigger t JOIN ours o ON o.oid = tgrelid
			WHERE NOT tgisinternal
		UNION ALL SELECT format('comment %s %s', o.name, description) FROM pg_description JOIN ours o ON o.oid = objoid
			WHERE classoid = 'pg_class'::regclass AND objsubid = 0
		UNION ALL SELECT format('function %s %s', pg_get_functiondef(p.oid), proacl) FROM pg_proc p
			JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname IN ('public', 'history') AND prokind <> 'a'
				AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
		UNION ALL SELECT format('version %s %s', version, dirty) FROM schema_migrations
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(list) < 100 {
		t.Fatalf("%d objects (%v)", len(list), err)
	}
	for i := range list {
		list[i] = timescaleNumbers.ReplaceAllString(list[i], "$1")
	}
	slices.Sort(list)
	return list
}

// timescaleNumbers matches the numbers that TimescaleDB gives hypertables in order of their creation.
var timescaleNumbers = regexp.MustCompile(`(_materialized_hypertable_|cagg_watermark\(|invalidation_trigger\(')\d+`)

// describeData returns the number of rows and a hash of the contents of each view of the history, and of the settings.
func describeData(t *testing.T, conn *pgx.Conn) map[string]string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT 'history.' || viewname FROM pg_views WHERE schemaname = 'history'
		UNION ALL SELECT '(SELECT * FROM settings WHERE key <> ''text_hash_key'')'`)
	if err != nil {
		t.Fatal(err)
	}
	relations, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	contents := make(map[string]string)
	for _, relation := range relations {
		var text string
		if err := conn.QueryRow(t.Context(), `SELECT count(*) || ' ' || coalesce(md5(string_agg(r::text, ';' ORDER BY r::text)), '')
			FROM `+relation+` r`).Scan(&text); err != nil {
			t.Fatalf("%s: %v", relation, err)
		}
		contents[relation] = text
	}
	return contents
}

// compareSchemas reports the differences of two results of describeSchema.
func compareSchemas(t *testing.T, got, want []string) {
	t.Helper()
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("not in a schema that was migrated without interruption: %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("missing: %s", line)
		}
	}
}

// versionsOf returns the versions of a profile's migrations.
func versionsOf(t *testing.T, profile string) (versions []int) {
	t.Helper()
	folder, err := migrations.For(profile)
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(folder, "*.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		version, err := strconv.Atoi(name[:4])
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, version)
	}
	return versions
}

// versionWithRollups is the first version with the series and rollups of both profiles.
const versionWithRollups = 5

// newDatabaseWithRollups migrates a database to versionWithRollups and stores an hour of two machines.
func newDatabaseWithRollups(t *testing.T, db storetest.Database) {
	t.Helper()
	if err := errors.Join(store.MigrateDown(t.Context(), db.URL, storetest.Logger()),
		store.MigrateTo(t.Context(), db.URL, versionWithRollups, storetest.Logger())); err != nil {
		t.Fatal(err)
	}
	o := &oldDatabase{t: t, db: db, conn: storetest.Connect(t, db.URL)}
	from := backend.StartOfDay(storetest.Recent().Std()).Add(-2*day + time.Hour)
	if db.Detection.Profile == backend.Postgres {
		o.createPartitions(backend.StartOfDay(from))
	}
	for _, statement := range []string{
		`INSERT INTO settings (key, value) VALUES ('retention', '{"raw_days": 30}')`,
		`INSERT INTO machines (machine_id, registered_at, last_seen, last_snapshot)
			SELECT 'm' || n, '$from', '$from'::timestamptz + interval '1 hour', '$from'::timestamptz + interval '1 hour'
			FROM generate_series(1, 2) n`,
		`INSERT INTO processes (machine, pid, ppid, identity, started_at, last_day, name, command_line, user_name)
			SELECT m.id, n, 0, n, '$from', '$from', 'p' || n, 'p' || n || ' --flag', 'root'
			FROM machines m, generate_series(1, 5) n ORDER BY m.id, n`,
		`INSERT INTO snapshots (ts, full_ts, interval_ms, cpu_usage, load1, total_ram, used_ram, machine, process_count)
			SELECT at, date_trunc('minute', at), 10000, 12.5, 1.5, 1000000, 5000, m.id, 5
			FROM machines m, generate_series('$from'::timestamptz, '$from'::timestamptz + interval '59 min 50 s',
				interval '10 s') at`,
		`INSERT INTO process_samples (ts, process, cpu_ms, memory_usage, read_bytes, write_bytes, machine, threads, state,
				in_full, hour)
			SELECT at, p.id, 10, 4096 * p.pid, 1, 2, p.machine, 1, 'S', true, 0
			FROM processes p, generate_series('$from'::timestamptz, '$from'::timestamptz + interval '59 min',
				interval '1 min') at`,
		`INSERT INTO disk_samples (ts, total, used, read_bytes, write_bytes, machine, device, mount)
			SELECT ts, 1000000, 500000, 10, 20, machine, 'sda1', '/' FROM snapshots`,
		`INSERT INTO net_samples (ts, received_bytes, sent_bytes, machine, name)
			SELECT ts, 100, 200, machine, 'eth0' FROM snapshots`,
	} {
		o.execute(strings.ReplaceAll(statement, "$from", from.Format(time.RFC3339)))
	}
	o.rollUp()
}

// interruptions is how often migrations are interrupted at least, in each profile.
var interruptions = flag.Int("interruptions", 10, "interruptions of migrations in each profile")

// An interruption at any moment of an upgrade, from any earlier schema with data, leaves a schema from which the next
// start continues. The result is the same as without interruptions.
func TestInterruptedMigrations(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		conn := storetest.Connect(t, db.URL)
		newDatabaseWithRollups(t, db)
		if _, err := store.Migrate(t.Context(), db.URL, db.Detection.Profile, storetest.Logger()); err != nil {
			t.Fatal(err)
		}
		wantSchema, wantData := describeSchema(t, conn), describeData(t, conn)
		if !strings.HasPrefix(wantData["history.snapshots"], "720 ") ||
			strings.HasPrefix(wantData["history.process_1h"], "0 ") {
			t.Fatalf("the upgraded history has %v", wantData)
		}

		random := rand.New(rand.NewPCG(1, uint64(len(db.Detection.Profile))))
		proxy := storetest.NewProxy(t, db.URL)
		startingVersions := slices.DeleteFunc(versionsOf(t, db.Detection.Profile), func(version int) bool {
			return version < versionWithRollups
		})
		startingVersions = startingVersions[:len(startingVersions)-1]
		const most = 70 // messages until an interruption; the connections need about half of them
		// How much of a migration is done before a cut depends on the speed of the machine.
		start := versionWithRollups
		for cuts := 0; cuts < *interruptions; start = startingVersions[random.IntN(len(startingVersions))] {
			newDatabaseWithRollups(t, db)
			if err := store.MigrateTo(t.Context(), db.URL, uint(start), storetest.Logger()); err != nil {
				t.Fatal(err)
			}
			for {
				proxy.CutAfter(random.IntN(most))
				_, err := store.Migrate(t.Context(), proxy.URL, db.Detection.Profile, storetest.Logger())
				if err == nil {
					break
				}
				if !proxy.WasCut() {
					t.Fatalf("after %d interruptions: %v", cuts, err)
				}
				cuts++
			}
			t.Logf("from schema %d: %d interruptions so far", start, cuts)
			compareSchemas(t, describeSchema(t, conn), wantSchema)
			if data := describeData(t, conn); !maps.Equal(data, wantData) {
				t.Errorf("the history is %v, want %v", data, wantData)
			}
		}
	})
}

// Servers that start at the same time with an empty database do not disturb each other.
func TestConcurrentMigrations(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyURL(t)
	failed := make(chan error, 4)
	for range cap(failed) {
		go func() {
			_, err := store.Migrate(context.WithoutCancel(t.Context()), url, "auto", storetest.Logger())
			failed <- err
		}()
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// Earlier versions left a dirty version behind if they were killed during a migration. The migration had either been
// committed or not.
func TestDirtyVersionsAreRepaired(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		conn := storetest.Connect(t, db.URL)
		wantSchema := describeSchema(t, conn)
		if err := store.MigrateDown(t.Context(), db.URL, storetest.Logger()); err != nil {
			t.Fatal(err)
		}
		markDirty := func(version int) {
			t.Helper()
			if _, err := conn.Exec(t.Context(), `DELETE FROM schema_migrations`); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(t.Context(), `INSERT INTO schema_migrations VALUES ($1, true)`, version); err != nil {
				t.Fatal(err)
			}
		}
		versions := versionsOf(t, db.Detection.Profile)
		for i, version := range versions {
			before := -1
			if i > 0 {
				before = versions[i-1]
			}
			repair := func(dirty int) {
				t.Helper()
				markDirty(dirty)
				if err := store.RepairSchema(t.Context(), db.URL, storetest.Logger()); err != nil {
					t.Fatalf("repair version %d, dirty: %v", dirty, err)
				}
			}
			repair(version) // the migration was not committed
			if err := store.MigrateTo(t.Context(), db.URL, uint(version), storetest.Logger()); err != nil {
				t.Fatalf("to %d: %v", version, err)
			}
			repair(version) // it was committed
			repair(before)  // it is to be reverted, which was not committed
		}
		if _, err := store.Migrate(t.Context(), db.URL, db.Detection.Profile, storetest.Logger()); err != nil {
			t.Fatal(err)
		}
		compareSchemas(t, describeSchema(t, conn), wantSchema)
	})
}

// A database that a newer version has migrated is left alone, and the error says why.
func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	s := db.Open(t, nil)
	conn := storetest.Connect(t, db.URL)
	if _, err := conn.Exec(t.Context(), `UPDATE schema_migrations SET version = 9999`); err != nil {
		t.Fatal(err)
	}
	_, err := store.Migrate(t.Context(), db.URL, backend.Postgres, storetest.Logger())
	for _, err := range []error{
		err, s.Ping(t.Context()), store.MigrateTo(t.Context(), db.URL, 3, storetest.Logger()),
		store.MigrateDown(t.Context(), db.URL, storetest.Logger()),
	} {
		if !errors.Is(err, migrator.ErrNewer) || !strings.Contains(err.Error(), "version 9999") {
			t.Errorf("%v", err)
		}
	}
	status, _, err := store.SchemaStatus(t.Context(), db.URL)
	if status.Version != 9999 || err != nil {
		t.Errorf("%+v (%v)", status, err)
	}
}
