package store_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// gaugeNames are the columns of snapshots that rollups have averages of.
var gaugeNames = []string{
	"cpu_usage", "load1", "load5", "load15", "used_ram", "buffers_ram", "cached_ram", "shared_ram", "slab_ram",
	"used_swap", "used_disk",
}

// gaugeRow is a snapshot's interval and gauges.
type gaugeRow struct {
	ts         snapshot.Time
	intervalMS int64
	values     map[string]float64
}

// gaugeSeries returns snapshots at random intervals, with gaps. Each lacks some of the values.
func gaugeSeries(rng *rand.Rand, at snapshot.Time, n int) ([]gaugeRow, []snapshot.Snapshot) {
	var rows []gaugeRow
	var list []snapshot.Snapshot
	for range n {
		row := gaugeRow{intervalMS: 1000 + rng.Int64N(90_000), values: make(map[string]float64)}
		if rng.IntN(40) == 0 {
			at = at.Add(time.Duration(1+rng.IntN(100)) * time.Minute)
		}
		at += snapshot.Time(row.intervalMS)
		row.ts = at
		float := func(name string) *float64 {
			if rng.IntN(3) == 0 || name == "load5" && at.Std().Hour()%2 == 0 { // load5 lacks whole buckets
				return nil
			}
			row.values[name] = float64(rng.IntN(10_000)) / 100
			return new(row.values[name])
		}
		integer := func(name string) *int64 {
			if float(name) == nil {
				return nil
			}
			row.values[name] = float64(rng.Int64N(1 << 30))
			return new(int64(row.values[name]))
		}
		total := int64(1 << 30)
		list = append(list, snapshot.Snapshot{
			Timestamp: at, Kind: snapshot.KindFull, IntervalMS: row.intervalMS,
			Machine: snapshot.MachineSnapshot{
				CPUUsage: float("cpu_usage"), Load1: float("load1"), Load5: float("load5"), Load15: float("load15"),
				UsedRAM: integer("used_ram"), TotalRAM: &total, BuffersRAM: integer("buffers_ram"),
				CachedRAM: integer("cached_ram"), SharedRAM: integer("shared_ram"), SlabRAM: integer("slab_ram"),
				UsedSwap: integer("used_swap"), TotalSwap: &total,
				UsedDisk: integer("used_disk"), TotalDisk: &total,
			},
		})
		rows = append(rows, row)
	}
	return rows, list
}

// An average of a machine is that of the time in which the value was known: where some snapshots lack load1, it is the
// average of those that have it.
func TestAveragesWhereSnapshotsLackValues(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		rows, list := gaugeSeries(rand.New(rand.NewPCG(7, 1)), storetest.Recent().Add(-2*day), 500)
		for len(list) > 0 {
			n := min(100, len(list))
			storetest.Write(t, s, "lacking", list[:n]...)
			list = list[n:]
		}
		storetest.RefreshAll(t, db, s)
		for _, relation := range []string{"machine_1m", "machine_1h", "machine_3h", "machine_1d"} {
			for _, name := range gaugeNames {
				compareAverages(t, conn, relation, name, rows)
			}
		}
	})
}

// compareAverages compares the averages of a rollup with those computed from all snapshots.
func compareAverages(t *testing.T, conn *pgx.Conn, relation, name string, rows []gaugeRow) {
	t.Helper()
	width := map[string]time.Duration{"machine_1m": time.Minute, "machine_1h": time.Hour, "machine_3h": 3 * time.Hour,
		"machine_1d": day}[relation]
	sums, weights := make(map[time.Time]float64), make(map[time.Time]float64)
	for _, row := range rows {
		bucket := (row.ts - 1).Std().Truncate(width)
		weights[bucket] += 0 // every bucket has a row
		if value, known := row.values[name]; known {
			sums[bucket] += value * float64(row.intervalMS)
			weights[bucket] += float64(row.intervalMS)
		}
	}
	found, err := conn.Query(t.Context(), `SELECT bucket, `+name+`_avg FROM `+relation+` r
		JOIN machines m ON m.id = r.machine WHERE m.machine_id = 'lacking'`)
	if err != nil {
		t.Fatal(err)
	}
	var bucket time.Time
	var average *float64
	n := 0
	if _, err := pgx.ForEachRow(found, []any{&bucket, &average}, func() error {
		n++
		weight, want := weights[bucket.UTC()], sums[bucket.UTC()]/weights[bucket.UTC()]
		if (average == nil) != (weight == 0) || average != nil && math.Abs(*average-want) > 1e-9*math.Abs(want) {
			t.Errorf("%s: %s of %s is %s, want %v", relation, name, bucket.UTC(), showFloat(average), want)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n != len(weights) {
		t.Errorf("%s has %d buckets, want %d", relation, n, len(weights))
	}
}
