// Package grafana_test checks the dashboards without Grafana. The tests expand variables and macros as
// Grafana's documentation describes, and run every SQL query on both storage profiles as the reader role.
// Package main_test of cmd/snapwatch runs the PromQL queries.
package grafana_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/api/apitest"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

var update = flag.Bool("update", false, "write the files that the tests compare with")

const day = 24 * time.Hour

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// dashboard holds the parts of a dashboard that the tests use.
type dashboard struct {
	UID        string
	Templating struct{ List []variable }
	Panels     []panel
}

type variable struct {
	Type, Name string
	Query      string
}

type panel struct {
	ID          int
	Title, Type string
	Targets     []target
}

type target struct {
	RefID, Format, RawSQL, Expr string
	Datasource                  struct{ Type, UID string }
}

func dashboards(t testing.TB) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("%d dashboards, %v", len(files), err)
	}
	all := make(map[string]dashboard, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = d
	}
	return all
}

func TestDashboardsAreFresh(t *testing.T) {
	t.Parallel()
	check := exec.CommandContext(t.Context(), "node", "src/generate.mjs", "--check")
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// fleet is a server with a few hours of snapshots of three machines.
type fleet struct {
	site   *apitest.Server
	db     storetest.Database
	admin  *pgx.Conn
	role   string
	series map[string]snapshottest.Series
	now    time.Time
}

func startFleet(t *testing.T, db storetest.Database) *fleet {
	t.Helper()
	now := time.Now()
	f := &fleet{
		db:     db,
		now:    now,
		series: make(map[string]snapshottest.Series),
		site: apitest.Start(
			t, db, apitest.Config{Config: api.Config{MachineMetrics: 100, Now: func() time.Time { return now }}},
		),
	}
	for i, machineID := range []string{"m-1", "m-2", "m-3"} {
		machine := &snapshot.Machine{MachineID: machineID, Hostname: fmt.Sprintf("it's host %d", i+1)}
		if _, err := f.site.Store.Register(t.Context(), machine); err != nil {
			t.Fatal(err)
		}
		made := snapshottest.NewMachine(uint64(i+1), 12)
		made.Churn = 0.004
		f.series[machineID] = made.Series(
			snapshot.TimeOf(now.Add(-5*time.Hour).Truncate(time.Second)), 540, 30*time.Second, 4,
		)
		f.site.Post(t, machineID, f.series[machineID].Snapshots)
	}
	if err := f.site.Store.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.role = storetest.Role(t, db)
	if _, err := f.site.Store.GrantReader(t.Context(), f.role); err != nil {
		t.Fatal(err)
	}
	f.admin = storetest.ConnectAdmin(t, db)
	return f
}

// table is the result of a query.
type table struct {
	columns []string // names with types
	rows    []map[string]any
}

// query runs a statement as the reader role.
func (f *fleet) query(t testing.TB, statement string) table {
	t.Helper()
	var out table
	err := pgx.BeginTxFunc(t.Context(), f.admin, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		for _, statement := range []string{"SET LOCAL ROLE " + f.role, "SET LOCAL search_path = history, public"} {
			if _, err := tx.Exec(t.Context(), statement); err != nil {
				return err
			}
		}
		// Grafana uses the simple protocol, in which its literals have no types.
		rows, err := tx.Query(t.Context(), statement, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		defer rows.Close()
		for _, field := range rows.FieldDescriptions() {
			name := fmt.Sprint(field.DataTypeOID)
			if kind, ok := tx.Conn().TypeMap().TypeForOID(field.DataTypeOID); ok {
				name = kind.Name
			}
			out.columns = append(out.columns, field.Name+" "+name)
		}
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				return err
			}
			row := make(map[string]any, len(values))
			for i, field := range rows.FieldDescriptions() {
				row[field.Name] = values[i]
			}
			out.rows = append(out.rows, row)
		}
		return rows.Err()
	})
	if err != nil {
		t.Errorf("%v in %s", err, statement)
	}
	return out
}

// scopeOf sets the variables of a dashboard, in their order: to the given value, or else to the first choice.
func (f *fleet) scopeOf(t testing.TB, d *dashboard, span time.Duration, given map[string]string) scope {
	t.Helper()
	s := scope{
		from:        f.now.Add(-span),
		to:          f.now,
		timescaledb: f.db.Detection.Profile == "timescale",
		variables:   make(map[string]string),
	}
	for _, v := range d.Templating.List {
		switch v.Type {
		case "textbox":
			s.variables[v.Name] = v.Query
		case "query":
			result := f.query(t, s.expand(t, s.interpolate(t, v.Query)))
			if len(result.rows) == 0 {
				t.Errorf("%s has no choices", v.Name)
				continue
			}
			row := result.rows[0]
			value, ok := row["__value"]
			if !ok {
				value = row[strings.Fields(result.columns[0])[0]]
			}
			s.variables[v.Name] = fmt.Sprint(value)
		default:
			t.Errorf("variable %s is of type %s", v.Name, v.Type)
		}
		if value, ok := given[v.Name]; ok {
			s.variables[v.Name] = value
		}
	}
	return s
}

// Every panel has a result, and the same values as the API.
func TestPanels(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		f := startFleet(t, db)
		t.Run("results", func(t *testing.T) { f.everyPanelHasRows(t) })
		t.Run("machine", func(t *testing.T) { f.chartsAgree(t) })
		t.Run("top", func(t *testing.T) { f.topAgrees(t) })
		t.Run("programs", func(t *testing.T) { f.programsAgree(t) })
		t.Run("name", func(t *testing.T) { f.nameAgrees(t) })
		t.Run("instant", func(t *testing.T) { f.instantAgrees(t) })
		t.Run("fleet", func(t *testing.T) { f.fleetAgrees(t) })
		t.Run("running hour", func(t *testing.T) { f.oneCore(t) })
		t.Run("running at once", func(t *testing.T) { f.runningAtOnce(t) })
		t.Run("same host name", func(t *testing.T) { f.labelsDiffer(t) })
	})
}

// everyPanelHasRows runs the queries of all panels, for every length of time range with relations of its own.
// The columns and types must be those that the panel's format needs.
func (f *fleet) everyPanelHasRows(t *testing.T) {
	var columns strings.Builder
	all := dashboards(t)
	for _, name := range []string{"fleet", "machine", "processes", "health"} {
		d := all[name]
		for i, span := range []time.Duration{6 * time.Hour, 7 * day, 40 * day, 300 * day} {
			s := f.scopeOf(t, &d, span, nil)
			for _, p := range d.Panels {
				for _, q := range p.Targets {
					if q.RawSQL == "" {
						continue
					}
					result := f.query(t, s.expand(t, s.interpolate(t, q.RawSQL)))
					if len(result.rows) == 0 {
						t.Errorf("%s, %s, %s: no rows", name, p.Title, span)
					}
					checkFormat(t, name+", "+p.Title, q.Format, result)
					if i == 0 {
						list := strings.Join(result.columns, ", ")
						fmt.Fprintf(&columns, "%s / %s / %s: %s\n", name, p.Title, q.Format, list)
					}
				}
			}
		}
	}
	const file = "testdata/columns.txt"
	if *update && f.db.Detection.Profile == "postgres" {
		if err := os.WriteFile(file, []byte(columns.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if columns.String() != string(want) {
		t.Errorf(
			"the columns of panels have changed; if that is intended, run go test ./grafana -update\n"+
				"got:\n%s\nwant:\n%s", columns.String(), want,
		)
	}
}

// numericType matches the names of PostgreSQL's types of numbers.
var numericType = regexp.MustCompile(`(float8|int8|int4|numeric)$`)

// checkFormat checks that a result has the columns that Grafana needs for a format.
func checkFormat(t testing.TB, where, format string, result table) {
	t.Helper()
	if format == "table" {
		return
	}
	var last time.Time
	for i, column := range result.columns {
		name, kind, _ := strings.Cut(column, " ")
		switch {
		case i == 0 && (name != "time" || kind != "timestamptz"):
			t.Errorf("%s: the first column of a series is %s", where, column)
		case name == "metric" && kind != "text":
			t.Errorf("%s: metric is %s", where, kind)
		case i > 0 && name != "metric" && !numericType.MatchString(kind):
			t.Errorf("%s: %s is not a number", where, column)
		}
	}
	for _, row := range result.rows {
		at, ok := row["time"].(time.Time)
		if !ok || at.Before(last) {
			t.Fatalf("%s: %v comes after %s", where, row["time"], last)
		}
		last = at
	}
}

// Each link of a panel leads to an existing dashboard or page.
func TestLinks(t *testing.T) {
	t.Parallel()
	uids := make(map[string]bool)
	all := dashboards(t)
	for _, d := range all {
		uids[d.UID] = true
	}
	for name := range all {
		text, err := os.ReadFile("dashboards/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		for _, url := range urls(t, text) {
			switch {
			case strings.HasPrefix(url, "/d/"):
				if uid, _, _ := strings.Cut(strings.TrimPrefix(url, "/d/"), "?"); !uids[uid] {
					t.Errorf("%s links to a dashboard that does not exist: %s", name, url)
				}
			case strings.HasPrefix(url, "${snapwatch}/machines/${machine}?at="):
			default:
				t.Errorf("%s links to %s", name, url)
			}
		}
	}
}

// urls returns the targets of all links in a document.
func urls(t testing.TB, text []byte) (list []string) {
	t.Helper()
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if url, ok := v["url"].(string); ok && url != "" {
				list = append(list, url)
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(document)
	return list
}
