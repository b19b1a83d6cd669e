package writer_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// randomEnded draws a process that ended at or before a snapshot. It may have started long before it.
func randomEnded(t *rapid.T, pid int32, s *snapshot.Snapshot) snapshot.ProcessSample {
	optional := func(most int64, what string) *int64 {
		if rapid.IntRange(0, 3).Draw(t, what+" is unknown") == 0 {
			return nil
		}
		return new(rapid.Int64Range(0, most).Draw(t, what))
	}
	age := rapid.SampledFrom([]int64{-1000, 0, 1, 2, 700, 4999, 5000, 5001, 9000, 20_000}).Draw(t, "age")
	part := rapid.SampledFrom([]string{
		"", "1234", "/tmp/ccAbCdEf.s", "%", "%s", "100% 20261127", "größe-99999", "a1b2c3d4",
	})
	one := snapshot.ProcessSample{
		PID: pid, StartedAt: s.Timestamp - snapshot.Time(age), State: snapshot.StateEnded,
		PPID: new(rapid.SampledFrom([]int32{0, 1, pid - 1, pid - 100, pid - 101, pid + 5}).Draw(t, "ppid")),
		Name: rapid.SampledFrom([]string{"sh", "cc1", "größe"}).Draw(t, "name"),
		CommandLine: rapid.SampledFrom([]string{"", "sh -c ", "cc1 -o "}).Draw(t, "program") +
			part.Draw(t, "argument") + " " + part.Draw(t, "argument"),
		User:        rapid.SampledFrom([]string{"", "root"}).Draw(t, "user"),
		Cgroup:      rapid.SampledFrom([]string{"", "/a.service", "/b.service"}).Draw(t, "cgroup"),
		CPUTime:     (*snapshot.CPUTime)(optional(4_000_000, "cpu")),
		MemoryUsage: optional(1<<34, "memory"),
		ReadBytes:   optional(1<<30, "read"),
		WriteBytes:  optional(1<<30, "written"),
		ExitStatus: rapid.SampledFrom([]snapshot.ExitStatus{
			{}, snapshot.ExitStatusOf(0), snapshot.ExitStatusOf(255 << 8), snapshot.ExitStatusOf(9),
		}).Draw(t, "exit"),
	}
	switch rapid.IntRange(0, 15).Draw(t, "other values") {
	case 0:
		one.StartedAt = 0
	case 1:
		one.Threads = new(int32(2))
	case 2:
		one.OpenFiles = new(int32(3))
	case 3:
		one.CPUTime, one.CPUUsage = nil, new(12.5)
	}
	return one
}

// storedProcesses returns the samples of a machine with the identities of their processes, as sorted text, and how many
// are short-lived processes.
func storedProcesses(t *testing.T, conn *pgx.Conn, machineID string) (list []string, shortLived int) {
	t.Helper()
	rows, err := conn.Query(t.Context(), `
		WITH m AS (SELECT id FROM machines WHERE machine_id = $1)
		SELECT row(s.ts, p.pid, p.ppid, p.started_at, p.name, p.command_line, p.user_name, p.cgroup,
				s.weight_ms::integer, s.cpu_us, s.memory_usage, s.read_bytes, s.write_bytes, p.exit_code, p.exit_signal,
				s.threads, nullif(s.open_files, $2), s.state)::text, false
		FROM process_samples s JOIN processes p ON p.id = s.process WHERE s.machine = (SELECT id FROM m)
		UNION ALL
		SELECT row(s.ts, s.pid, s.ppid, s.started_at, c.name, CASE WHEN c.has_vars
					THEN format(c.command_line, VARIADIC string_to_array(s.vars, ' ')) ELSE c.command_line END,
				o.user_name, o.cgroup, s.elapsed_ms, s.cpu_us, s.memory_max, s.read_bytes, s.write_bytes, s.exit_code,
				s.exit_signal, NULL::integer, NULL::integer, 'X'::text)::text, true
		FROM short_lived s JOIN commands c ON c.id = s.command AND c.machine = s.machine
			JOIN owners o ON o.id = s.owner AND o.machine = s.machine
		WHERE s.machine = (SELECT id FROM m) AND s.batch_ts = s.ts AND s.batch_first_ts = s.ts
			AND (s.cpu_us IS NULL OR s.cpu_us_bound >= s.cpu_us) AND s.command = ANY(s.commands)
			AND (s.memory_max IS NULL OR s.memory_pages_bound >= s.memory_max / 4096)`,
		machineID, storetest.ListedOpenFiles)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	var isShortLived bool
	if _, err := pgx.ForEachRow(rows, []any{&text, &isShortLived}, func() error {
		list = append(list, text)
		if isShortLived {
			shortLived++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list, shortLived
}

// sumColumns are the columns of sums, and how they are computed from the view short_lived and from finer sums.
const (
	sumColumns = `processes, failed, cpu_us, cpu_us_max, elapsed_ms, longest_ms, memory_sum, memory_ms, memory_max,
		read_bytes, write_bytes, unknown_cpu, unknown_io, first_ts, last_ts`
	sumsOfRows = `count(*), count(*) FILTER (WHERE exit_code > 0 OR exit_signal > 0), sum(cpu_us)::bigint, max(cpu_us),
		sum(elapsed_ms)::bigint, max(elapsed_ms)::bigint, sum(memory_max::double precision * elapsed_ms),
		(sum(elapsed_ms) FILTER (WHERE memory_max IS NOT NULL))::bigint, max(memory_max), sum(read_bytes)::bigint,
		sum(write_bytes)::bigint, count(*) FILTER (WHERE cpu_us IS NULL),
		count(*) FILTER (WHERE read_bytes IS NULL OR write_bytes IS NULL), min(ts), max(ts)`
	sumsOfSums = `sum(processes)::bigint, sum(failed)::bigint, sum(cpu_us)::bigint, max(cpu_us_max),
		sum(elapsed_ms)::bigint, max(longest_ms), sum(memory_sum), sum(memory_ms)::bigint, max(memory_max),
		sum(read_bytes)::bigint, sum(write_bytes)::bigint, sum(unknown_cpu)::bigint, sum(unknown_io)::bigint,
		min(first_ts), max(last_ts)`
)

// checkSums compares the sums of a machine with its short-lived processes.
func checkSums(t *testing.T, conn *pgx.Conn, machineID string) {
	t.Helper()
	for _, one := range []struct{ table, width, source, sums string }{
		{"short_lived_1m", "1 minute", `(SELECT s.*, c.name, s.ts - interval '1 ms' AS at
			FROM short_lived s JOIN commands c ON c.id = s.command) s`, sumsOfRows},
		{"short_lived_1h", "1 hour", `(SELECT *, bucket AS at FROM short_lived_1m) s`, sumsOfSums},
		{"short_lived_1d", "1 day", `(SELECT *, bucket AS at FROM short_lived_1m) s`, sumsOfSums},
	} {
		want := `SELECT date_bin('` + one.width + `', s.at, '2000-01-01 00:00:00+00') AS bucket, s.name, s.owner, ` +
			one.sums + ` FROM ` + one.source + ` WHERE s.machine = (SELECT id FROM m) GROUP BY 1, 2, 3`
		got := `SELECT bucket, name, owner, ` + sumColumns + ` FROM ` + one.table + ` WHERE machine = (SELECT id FROM m)`
		var missing, wrong *string
		if err := conn.QueryRow(t.Context(), `WITH m AS (SELECT id FROM machines WHERE machine_id = $1),
			want AS (`+want+`), got AS (`+got+`)
			SELECT (SELECT string_agg(w::text, E'\n') FROM (SELECT * FROM want EXCEPT ALL SELECT * FROM got) w),
				(SELECT string_agg(w::text, E'\n') FROM (SELECT * FROM got EXCEPT ALL SELECT * FROM want) w)`,
			machineID).Scan(&missing, &wrong); err != nil {
			t.Fatal(err)
		}
		if missing != nil || wrong != nil {
			t.Fatalf("%s lacks\n%v\nand has\n%v", one.table, deref(missing), deref(wrong))
		}
	}
	var wrong int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM snapshots n CROSS JOIN LATERAL (
			SELECT nullif(count(*), 0) AS processes, sum(cpu_us) AS cpu_us,
				CASE WHEN count(*) > 0 THEN count(*) - count(cpu_us) END AS unknown
			FROM short_lived s WHERE s.machine = n.machine AND s.ts = n.ts) s
		WHERE n.machine = (SELECT id FROM machines WHERE machine_id = $1)
			AND (n.short_lived, n.short_lived_cpu_us, n.short_lived_unknown_cpu)
				IS DISTINCT FROM (s.processes, s.cpu_us, s.unknown)`, machineID).Scan(&wrong); err != nil || wrong > 0 {
		t.Fatalf("%d snapshots have wrong totals (%v)", wrong, err)
	}
}

func deref(text *string) string {
	if text == nil {
		return "nothing"
	}
	return *text
}

// The series of short-lived processes has what is otherwise stored as samples of processes, in any order of snapshots,
// with duplicates, gaps and snapshots inside the interval of others.
func TestShortLivedProcessesEqualSamples(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		machines, total := 0, 0
		rapid.Check(t, func(rt *rapid.T) {
			machines++
			ids := []string{fmt.Sprintf("equal-%d-plain", machines), fmt.Sprintf("equal-%d", machines)}
			machine := snapshottest.NewMachine(rapid.Uint64().Draw(rt, "seed"), 5)
			machine.ReportEnded = true
			series := machine.Series(storetest.Recent(), 8, 5*time.Second, 1).Snapshots
			for i := range series {
				if rapid.IntRange(0, 3).Draw(rt, "interval") == 0 {
					series[i].IntervalMS = rapid.SampledFrom([]int64{0, 10_000, 20_000}).Draw(rt, "interval")
				}
				for k := range rapid.IntRange(0, 5).Draw(rt, "ended") {
					series[i].Processes = append(series[i].Processes, randomEnded(rt, int32(100_000+k), &series[i]))
				}
			}
			listed := storetest.WithOpenFiles(series)
			for _, i := range rapid.Permutation([]int{0, 1, 2, 3, 3, 4, 5, 6, 7, 0}).Draw(rt, "order") {
				storetest.Write(t, s, ids[0], listed[i])
				storetest.Write(t, s, ids[1], series[i])
			}
			want, none := storedProcesses(t, conn, ids[0])
			got, n := storedProcesses(t, conn, ids[1])
			total += n
			if none != 0 || !slices.Equal(got, want) {
				rt.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			checkSums(t, conn, ids[1])
		})
		if total == 0 {
			t.Error("no process was short-lived")
		}
	})
}

// shell returns a full snapshot with a number of short-lived processes, whose command lines have an argument.
func shell(at snapshot.Time, n int, argument string) snapshot.Snapshot {
	s := snapshot.Snapshot{Timestamp: at, Kind: snapshot.KindFull, IntervalMS: 5000}
	for i := range n {
		s.Processes = append(s.Processes, snapshot.ProcessSample{
			PID: int32(1000 + i), StartedAt: at - 100, PPID: new(int32(1)), Name: "sh",
			CommandLine: "sh -c " + argument, State: snapshot.StateEnded, CPUTime: new(snapshot.CPUTime(1000)),
		})
	}
	return s
}

// A batch that the database rejects does not leave texts in the cache that were not stored.
func TestShortLivedProcessesOfARetriedGroup(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		at := storetest.Recent()
		rejected := shell(at, 1, "rejected")
		rejected.Processes[0].User = "a\x00b" // not valid in the database
		for i := range 2 {
			stored := shell(at.Add(time.Duration(i)*5*time.Second), 3, "stored")
			outcomes := s.Write(context.Background(), []*snapshot.Batch{
				{MachineID: "retried", Snapshots: []snapshot.Snapshot{stored}},
				{MachineID: "rejected", Snapshots: []snapshot.Snapshot{rejected}},
			})
			if outcomes[0].Err != nil || outcomes[1].Err == nil {
				t.Fatalf("%v and %v", outcomes[0].Err, outcomes[1].Err)
			}
		}
		if _, n := storedProcesses(t, conn, "retried"); n != 6 {
			t.Errorf("%d processes, want 6", n)
		}
		checkSums(t, conn, "retried")
	})
}

// Two servers that write different machines with the same texts do not wait for each other forever, and store all.
func TestShortLivedProcessesOfTwoServers(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		conn := storetest.Connect(t, db.URL)
		var wait sync.WaitGroup
		for k := range 2 {
			s := db.Open(t, nil)
			wait.Go(func() {
				for i := range 20 {
					machineID := fmt.Sprintf("servers-%d", (k+i)%2)
					at := storetest.Recent().Add(time.Duration(2*i+k) * 5 * time.Second)
					storetest.Write(t, s, machineID, shell(at, 5, fmt.Sprintf("word%d", i%3)))
				}
			})
		}
		wait.Wait()
		for k := range 2 {
			machineID := fmt.Sprintf("servers-%d", k)
			if _, n := storedProcesses(t, conn, machineID); n != 100 {
				t.Errorf("%d processes of %s, want 100", n, machineID)
			}
			checkSums(t, conn, machineID)
			var texts int
			if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM commands c JOIN machines m ON m.id = c.machine
				WHERE m.machine_id = $1`, machineID).Scan(&texts); err != nil || texts != 3 {
				t.Errorf("%d texts of %s, want 3 (%v)", texts, machineID, err)
			}
		}
	})
}

// A text that retention deleted is inserted again, although the cache has its id of an earlier day.
func TestTextsAreLookedUpEachDay(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		now := time.Now()
		s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
		conn := storetest.Connect(t, db.URL)
		storetest.Write(t, s, "daily", shell(storetest.Recent(), 1, "daily"))
		if _, err := conn.Exec(t.Context(), `DELETE FROM commands WHERE command_line = 'sh -c daily'`); err != nil {
			t.Fatal(err)
		}
		now = now.Add(24 * time.Hour)
		for i := range 2 {
			storetest.Write(t, s, "daily", shell(storetest.Recent().Add(time.Duration(i+1)*5*time.Second), 1, "daily"))
		}
		if _, n := storedProcesses(t, conn, "daily"); n != 2 { // the text of the first was deleted
			t.Errorf("%d processes with a text, want 2", n)
		}
		var day time.Time
		if err := conn.QueryRow(t.Context(), `SELECT o.last_day FROM owners o JOIN machines m ON m.id = o.machine
			WHERE m.machine_id = 'daily'`).Scan(&day); err != nil || day.Format(time.DateOnly) != now.UTC().Format(time.DateOnly) {
			t.Errorf("the owner was last used on %s (%v)", day.Format(time.DateOnly), err)
		}
	})
}

// The sum of amounts that is larger than a bigint does not fail.
func TestSumsOfHugeAmounts(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		for i := range 2 {
			huge := shell(storetest.Recent().Add(time.Duration(i)*time.Second), 1000, "huge")
			huge.IntervalMS = 86_400_000
			for k := range huge.Processes {
				huge.Processes[k].ReadBytes = new(int64(snapshot.MaxSafeInteger))
			}
			storetest.Write(t, s, "huge", huge)
		}
		for _, table := range []string{"short_lived_1m", "short_lived_1h", "short_lived_1d"} {
			var processes, read int64
			if err := conn.QueryRow(t.Context(), `SELECT sum(s.processes)::bigint, max(s.read_bytes) FROM `+table+` s
				JOIN machines m ON m.id = s.machine WHERE m.machine_id = 'huge'`).Scan(&processes, &read); err != nil ||
				processes != 2000 || read != 1<<63-1 {
				t.Errorf("%s has %d processes that read %d bytes (%v)", table, processes, read, err)
			}
		}
	})
}
