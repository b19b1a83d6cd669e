package embedded_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/store/embedded"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// marked creates a stopped cluster with a number in a table.
func marked(t *testing.T, n int) (dir string) {
	t.Helper()
	dir = storetest.Dir(t)
	c := start(t, dir)
	mark(t, c.URL(), n)
	stop(t, c)
	return dir
}

func mark(t *testing.T, url string, n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE mark AS SELECT `+strconv.Itoa(n)+` AS n`); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
}

// checkMark starts the cluster of a directory and checks which one it is.
func checkMark(t *testing.T, dir string, want int) {
	t.Helper()
	c := start(t, dir)
	defer stop(t, c)
	if n := query[int](t, c.URL(), `SELECT n FROM mark`); n != want {
		t.Errorf("cluster %d is in use, want %d", n, want)
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v %s", from, err, out)
	}
}

// However far a switch to a new cluster got, the next start completes it. It does not create an empty cluster.
func TestInterruptedSwitch(t *testing.T) {
	t.Parallel()
	const keep = "postgres.old-15"
	oldCluster, newCluster := filepath.Join(marked(t, 1), "postgres"), filepath.Join(marked(t, 2), "postgres")
	for name, at := range map[string]struct {
		clusters map[string]string // directory to cluster
		recorded bool
		want     int
	}{
		"before":              {map[string]string{"postgres": oldCluster, "upgrade/postgres": newCluster}, false, 1},
		"before the renames":  {map[string]string{"postgres": oldCluster, "upgrade/postgres": newCluster}, true, 2},
		"between the renames": {map[string]string{keep: oldCluster, "upgrade/postgres": newCluster}, true, 2},
		"after the renames":   {map[string]string{keep: oldCluster, "postgres": newCluster}, true, 2},
		"the old name is taken": {
			map[string]string{"postgres": oldCluster, keep: oldCluster, "upgrade/postgres": newCluster}, true, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := storetest.Dir(t)
			for to, from := range at.clusters {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, to)), 0o755); err != nil {
					t.Fatal(err)
				}
				copyTree(t, from, filepath.Join(dir, to))
			}
			record := filepath.Join(dir, "postgres.switch")
			if at.recorded {
				text := `{"from":"upgrade/postgres","keep":"` + keep + `"}`
				if err := os.WriteFile(record, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if !embedded.Exists(dir) {
				t.Error("there is no cluster")
			}
			if name == "the old name is taken" {
				if _, err := embedded.Start(t.Context(), config(dir)); err == nil ||
					!strings.Contains(err.Error(), "exists already") {
					t.Errorf("the first start: %v", err)
				}
			}
			checkMark(t, dir, at.want)
			for _, name := range []string{record, filepath.Join(dir, "upgrade")} {
				if _, err := os.Lstat(name); err == nil {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// A record that names a directory outside is not followed.
func TestSwitchStaysInTheDirectory(t *testing.T) {
	t.Parallel()
	dir := marked(t, 1)
	record := filepath.Join(dir, "postgres.switch")
	if err := os.WriteFile(record, []byte(`{"from":"../other","keep":"postgres.old-15"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Start(t.Context(), config(dir)); err == nil ||
		!strings.Contains(err.Error(), "not below the data directory") {
		t.Errorf("it started: %v", err)
	}
}

// pg_upgrade refuses a cluster without checksums, because new clusters have them. A dump is used instead.
func TestUpgradeWithoutPgUpgrade(t *testing.T) {
	t.Parallel()
	dir := marked(t, 7)
	bin, major := installed(t, dir)
	data := filepath.Join(dir, "postgres")
	disable := exec.CommandContext(t.Context(), filepath.Join(bin, "pg_checksums"), "--disable", "-D", data)
	if out, err := disable.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	var steps strings.Builder
	cfg := embedded.UpgradeConfig{
		Dir: dir, Major: major, Method: embedded.MethodPgUpgrade,
		Progress: func(line string) { steps.WriteString(line + "\n") },
	}
	_, err := embedded.Upgrade(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "checksums") || !strings.Contains(err.Error(), "is unchanged") {
		t.Errorf("with pg_upgrade: %v", err)
	}
	checkMark(t, dir, 7)
	cfg.Method = embedded.MethodAuto
	done, err := embedded.Upgrade(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"pg_upgrade is not possible, using a dump", "the database snapwatch has all 1 rows"} {
		if !strings.Contains(steps.String(), want) {
			t.Errorf("the steps lack %q: %s", want, &steps)
		}
	}
	if done.From != major || done.To != major || done.Kept != data+".old-"+strconv.Itoa(major) {
		t.Errorf("%+v", done)
	}
	c := start(t, dir)
	defer stop(t, c)
	if n := query[int](t, c.URL(), `SELECT n FROM mark`); n != 7 {
		t.Errorf("%d was copied", n)
	}
	if checksums := query[string](t, c.URL(), `SHOW data_checksums`); checksums != "on" {
		t.Errorf("checksums are %s", checksums)
	}
}

// installed returns the programs and the version of a cluster.
func installed(t *testing.T, dir string) (bin string, major int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "postgres", "PG_VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	options, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.opts"))
	if err != nil {
		t.Fatal(err)
	}
	program, _, _ := strings.Cut(string(options), " ")
	major, err = strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(program), major
}

// An upgrade keeps what the owner of the cluster has added: roles, their settings, who may connect, and other
// databases.
func TestUpgradeKeepsRolesAndDatabases(t *testing.T) {
	t.Parallel()
	for _, method := range []embedded.Method{embedded.MethodPgUpgrade, embedded.MethodDump} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			dir := marked(t, 3)
			c := start(t, dir)
			conn, err := pgx.Connect(t.Context(), c.SuperuserURL())
			if err != nil {
				t.Fatal(err)
			}
			for _, statement := range []string{
				`CREATE ROLE grafana LOGIN`, `ALTER ROLE grafana SET search_path = history, public`,
				`CREATE DATABASE "other base"`, `ALTER SYSTEM SET work_mem = '5MB'`, `CREATE TABLE mine AS SELECT 1 AS n`,
			} {
				if _, err := conn.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			_ = conn.Close(t.Context())
			stop(t, c)
			hba := filepath.Join(dir, "postgres", "pg_hba.conf")
			const rules = "# mine\nlocal all all peer map=snapwatch\n"
			if err := os.WriteFile(hba, []byte(rules), 0o600); err != nil {
				t.Fatal(err)
			}
			_, major := installed(t, dir)
			var steps strings.Builder
			if _, err := embedded.Upgrade(t.Context(), embedded.UpgradeConfig{
				Dir: dir, Major: major, Method: method,
				Progress: func(line string) { steps.WriteString(line + "\n") },
			}); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(steps.String(), "set it again with ALTER SYSTEM if you need it: work_mem = '5MB'") {
				t.Errorf("a setting got lost: %s", &steps)
			}
			if text, err := os.ReadFile(hba); err != nil || string(text) != rules {
				t.Errorf("pg_hba.conf is %q, %v", text, err)
			}
			c = start(t, dir)
			defer stop(t, c)
			if path := query[string](t, c.SuperuserURL(),
				`SELECT rolconfig[1] FROM pg_roles WHERE rolname = 'grafana'`); path != "search_path=history, public" {
				t.Errorf("the role has %q", path)
			}
			if n := query[int](t, c.SuperuserURL(), `SELECT count(*) FROM pg_database WHERE datname = 'other base'`); n != 1 {
				t.Error("a database is missing")
			}
			if n := query[int](t, c.SuperuserURL(), `SELECT n FROM mine`); n != 1 {
				t.Error("a table is missing")
			}
			if owner := query[string](t, c.URL(),
				`SELECT tableowner FROM pg_tables WHERE tablename = 'mark'`); owner != "snapwatch" {
				t.Errorf("the table belongs to %s", owner)
			}
		})
	}
}

func TestUpgradeNeedsACluster(t *testing.T) {
	t.Parallel()
	cfg := embedded.UpgradeConfig{Dir: storetest.Dir(t), Method: embedded.MethodAuto, Progress: func(string) {}}
	if _, err := embedded.Upgrade(t.Context(), cfg); !errors.Is(err, embedded.ErrNoCluster) {
		t.Errorf("without a cluster: %v", err)
	}
}
