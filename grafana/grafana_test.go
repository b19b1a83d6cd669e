// Package grafana_test checks the dashboards. Grafana itself is not here, so the
// tests put in what it would, by its documentation, and run every query: SQL on
// both storage profiles as the reader's role, PromQL on a real Prometheus.
package grafana_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

var update = flag.Bool("update", false, "write what the tests compare with")

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// dashboard is as much of a dashboard as the tests look at.
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
	if out, err := exec.CommandContext(t.Context(), "node", "src/generate.mjs", "--check").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// fleet is a server with three machines of which a few hours are stored.
type fleet struct {
	site   *apitest.Site
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

// table is the answer of a query.
type table struct {
	columns []string // with types
	rows    []map[string]any
}

// query runs a statement as the reader does.
func (f *fleet) query(t testing.TB, statement string) table {
	t.Helper()
	var out table
	err := pgx.BeginTxFunc(t.Context(), f.admin, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		for _, statement := range []string{"SET LOCAL ROLE " + f.role, "SET LOCAL search_path = history, public"} {
			if _, err := tx.Exec(t.Context(), statement); err != nil {
				return err
			}
		}
		// The extended protocol would give types to the literals that Grafana writes.
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

// scopeOf fills a dashboard's variables, in their order, as it is opened: with the
// first choice of each, but for what is given.
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
			answer := f.query(t, s.expand(t, s.interpolate(t, v.Query)))
			if len(answer.rows) == 0 {
				t.Errorf("there is nothing to choose for %s", v.Name)
				continue
			}
			row := answer.rows[0]
			value, ok := row["__value"]
			if !ok {
				value = row[strings.Fields(answer.columns[0])[0]]
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

// Every panel answers, at every length of range that makes it read other relations,
// with the columns and types that its format wants.
func TestEverySQLPanelAnswers(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		f := startFleet(t, db)
		var columns strings.Builder
		all := dashboards(t)
		for _, name := range []string{"fleet", "machine", "processes", "health"} {
			d := all[name]
			for i, span := range []time.Duration{6 * time.Hour, 7 * 24 * time.Hour, 40 * 24 * time.Hour, 300 * 24 * time.Hour} {
				s := f.scopeOf(t, &d, span, nil)
				for _, p := range d.Panels {
					for _, q := range p.Targets {
						if q.RawSQL == "" {
							continue
						}
						answer := f.query(t, s.expand(t, s.interpolate(t, q.RawSQL)))
						if len(answer.rows) == 0 {
							t.Errorf("%s, %s, %s: no rows", name, p.Title, span)
						}
						checkFormat(t, name+", "+p.Title, q.Format, answer)
						if i == 0 {
							fmt.Fprintf(
								&columns, "%s / %s / %s: %s\n", name, p.Title, q.Format,
								strings.Join(answer.columns, ", "),
							)
						}
					}
				}
			}
		}
		const file = "testdata/columns.txt"
		if *update && db.Detection.Profile == "postgres" {
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
				"the columns of panels have changed; if that is meant, run go test ./grafana -update\ngot:\n%s\nwant:\n%s",
				columns.String(), want,
			)
		}
	})
}

// checkFormat checks what Grafana wants of the columns of a format.
func checkFormat(t testing.TB, where, format string, answer table) {
	t.Helper()
	if format == "table" {
		return
	}
	var last time.Time
	for i, column := range answer.columns {
		name, kind, _ := strings.Cut(column, " ")
		switch {
		case i == 0 && (name != "time" || kind != "timestamptz"):
			t.Errorf("%s: the first column of a series is %s", where, column)
		case name == "metric" && kind != "text":
			t.Errorf("%s: metric is %s", where, kind)
		case i > 0 && name != "metric" && !strings.HasSuffix(kind, "float8") && !strings.HasSuffix(kind, "int8") && !strings.HasSuffix(kind, "int4") && !strings.HasSuffix(kind, "numeric"):
			t.Errorf("%s: %s is not a number", where, column)
		}
	}
	for _, row := range answer.rows {
		at, ok := row["time"].(time.Time)
		if !ok || at.Before(last) {
			t.Fatalf("%s: %v comes after %s", where, row["time"], last)
		}
		last = at
	}
}

// The links of panels name pages, dashboards and columns that there are.
func TestLinksLeadSomewhere(t *testing.T) {
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
					t.Errorf("%s links to a dashboard that is not there: %s", name, url)
				}
			case strings.HasPrefix(url, "${snapwatch}/machines/${machine}?at="):
			default:
				t.Errorf("%s links to %s", name, url)
			}
		}
	}
}

// urls collects what links anywhere in a document lead to.
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
