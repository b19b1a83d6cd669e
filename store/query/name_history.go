package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// ErrTooManyMachines means that a chart by minute is not possible because too many machines ran the processes.
var ErrTooManyMachines = errors.New("too many machines for a chart by minute")

const (
	// nameColumns are sums over the processes of a name on one machine.
	nameColumns = `count(DISTINCT (p.pid, p.started_at)) AS processes,
		CASE WHEN count(*) = count(r.elapsed_ms) THEN sum(r.elapsed_ms) END AS run_ms,
		max(r.elapsed_ms) AS longest_ms,
		count(DISTINCT (p.pid, p.started_at)) FILTER (WHERE r.cpu_us IS NULL) AS unknown_cpu_processes,
		count(DISTINCT (p.pid, p.started_at)) FILTER (WHERE r.read_bytes IS NULL OR r.write_bytes IS NULL)
			AS unknown_io_processes, ` + usageSums
	// nameMeasuredSQL is the time that was measured in each bucket, and the number of snapshots.
	nameMeasuredSQL = `SELECT machine, bucket, interval_ms, samples FROM %s WHERE bucket_key >= $2 AND bucket_key < $3`
	nameBucketsSQL  = `SELECT r.bucket, r.machine, ` + nameColumns + `
		FROM %s r JOIN processes p ON p.id = r.process
		WHERE %s AND %s AND p.name = $1 AND r.bucket_key >= $2 AND r.bucket_key < $3 GROUP BY r.bucket, r.machine`
	nameMinutesSQL = `SELECT g.bucket, k.machine, ` + nameColumns + `
		FROM unnest($5::integer[]) k(machine)
		CROSS JOIN generate_series($2::timestamptz, $3::timestamptz - interval '1 ms', interval '1 minute') g(bucket)
		CROSS JOIN LATERAL process_window(k.machine, g.bucket, g.bucket + interval '1 minute',
			ARRAY(SELECT id FROM processes WHERE machine = k.machine AND name = $1), true) r
		JOIN processes p ON p.id = r.process
		-- As in the hours, a process that is gone at the first snapshot of a minute is not in it.
		WHERE r.last_ts > g.bucket GROUP BY g.bucket, k.machine`
	// nameShortLivedSQL has the columns of the two above for the short-lived processes.
	nameShortLivedSQL = `SELECT date_bin('%d ms', s.bucket, '2000-01-01 00:00:00+00') AS bucket, s.machine,
			s.processes, s.elapsed_ms, s.longest_ms, s.unknown_cpu, s.unknown_io, s.cpu_us, s.cpu_us_max,
			s.memory_sum, s.memory_ms, NULL, s.memory_max, NULL, s.read_bytes, s.write_bytes
		FROM %s s WHERE %s AND s.name = $1 AND s.bucket_key >= $2 AND s.bucket_key < $%d`
	// nameMeasuredMinutesSQL reads the samples, as nameMinutesSQL does, because machine_1m can lack late data.
	nameMeasuredMinutesSQL = `SELECT machine, sum(interval_ms) AS interval_ms,
			date_bin('1 minute', ts - interval '1 ms', '2000-01-01 00:00:00+00') AS bucket, count(*) AS samples
		FROM snapshots WHERE machine = ANY($5::integer[]) AND ts > $2 AND ts <= $3::timestamptz + interval '1 minute'
		GROUP BY 1, 3`
	// namePointsSQL adds up the machines. Each may have been measured for a different part of the bucket, so their
	// rates are added: the point's time is the one in which the CPU time makes the sum of the rates. With TimescaleDB,
	// late data can be in the rollups of processes before it is in those of machines. What a process ran was measured.
	// The columns after run_ms are the machines that ran the processes in any bucket, how many of them are expected
	// in this one, and how many of those were measured: for at least 0.95 times as long as the longest-measured one.
	// The interval of a snapshot can begin in the bucket before, so one interval may be missing. A machine is expected
	// after the bucket of its first data, and in that bucket if it was measured. Buckets without the processes are
	// rows of no processes if they lack an expected machine. A bucket without a snapshot does not lack it if the
	// interval of a later snapshot reaches back to the bucket, or may still do so. The last column is the machines of
	// the sum that were measured longest, if even they were not measured in the whole bucket.
	namePointsSQL = `WITH u AS (
			SELECT v.bucket, v.machine, sum(v.processes) AS processes,
				CASE WHEN count(*) = count(v.run_ms) THEN sum(v.run_ms) END AS run_ms, max(v.longest_ms) AS longest_ms,
				sum(v.unknown_cpu_processes) AS unknown_cpu_processes,
				sum(v.unknown_io_processes) AS unknown_io_processes,
				to_bigint(sum(v.cpu_us)) AS cpu_us, max(v.cpu_us_max) AS cpu_us_max, sum(v.memory_sum) AS memory_sum,
				sum(v.memory_ms)::bigint AS memory_ms, avg(v.memory_plain) AS memory_plain,
				max(v.memory_max) AS memory_max, max(v.threads_max) AS threads_max,
				to_bigint(sum(v.read_bytes)) AS read_bytes, to_bigint(sum(v.write_bytes)) AS write_bytes
			FROM (%[1]s) v GROUP BY v.bucket, v.machine),
		ran AS (SELECT DISTINCT machine FROM u),
		m AS (SELECT m.* FROM (%[2]s) m JOIN ran ON ran.machine = m.machine),
		complete AS (SELECT bucket, machine FROM (
			SELECT bucket, machine, ms, ms / nullif(samples, 0) AS mean_ms,
				max(ms) OVER (PARTITION BY bucket) AS longest_ms
			FROM (SELECT bucket, machine, greatest(m.interval_ms, u.longest_ms) AS ms, m.samples
				FROM m FULL JOIN u USING (bucket, machine)) v WHERE ms > 0) v
			WHERE ms + coalesce(mean_ms, 0) >= 0.95 * least(longest_ms, %[3]d)),
		begun AS (SELECT machine, CASE WHEN (machine, $2::timestamptz) NOT IN (SELECT machine, bucket FROM complete)
				AND %[4]s THEN '-infinity' ELSE first END AS bucket
			FROM (SELECT machine, min(bucket) AS first FROM (SELECT machine, bucket FROM m
				UNION ALL SELECT machine, bucket FROM u) v GROUP BY machine) v),
		measured AS (SELECT v.bucket, count(*) AS machines, count(*) FILTER (WHERE begun.bucket >= v.bucket) AS begun
			FROM complete v JOIN begun USING (machine) GROUP BY v.bucket),
		reached AS (SELECT v.bucket, count(*) AS machines, count(*) FILTER (WHERE begun.bucket >= v.bucket) AS begun
			FROM (SELECT bucket, machine FROM complete UNION
			SELECT m.bucket + i * interval '%[3]d ms', m.machine
			FROM m CROSS JOIN LATERAL generate_series(-floor(1.02 * m.interval_ms / m.samples / %[3]d)::integer,
				floor(0.98 * m.interval_ms / m.samples / %[3]d)::integer) i
			WHERE m.samples > 0 AND 1.02 * m.interval_ms / m.samples >= %[3]d AND i <> 0) v
			JOIN begun USING (machine) GROUP BY v.bucket)
		SELECT v.bucket, sum(v.processes)::bigint, to_bigint(sum(v.cpu_us)), max(v.cpu_us_max),
		coalesce(sum(v.memory_sum) / nullif(sum(v.memory_ms), 0)::double precision, avg(v.memory_plain)),
		max(v.memory_max), max(v.threads_max), to_bigint(sum(v.read_bytes)), to_bigint(sum(v.write_bytes)),
		coalesce(round(sum(v.cpu_us) FILTER (WHERE v.measured_ms > 0)
			/ nullif(sum(v.cpu_us::numeric / nullif(v.measured_ms, 0)), 0)), max(v.measured_ms), 0)::bigint,
		CASE WHEN count(*) = count(v.run_ms) THEN sum(v.run_ms / nullif(v.measured_ms, 0)::double precision) END,
		(SELECT count(*) FROM ran),
		(SELECT count(*) FROM begun WHERE begun.bucket < v.bucket) + coalesce(max(measured.begun), 0),
		coalesce(max(measured.machines), 0), sum(v.unknown_cpu_processes)::bigint, sum(v.unknown_io_processes)::bigint,
		CASE WHEN max(v.measured_ms + greatest(coalesce(v.mean_ms, 0), 60000))
				< least(%[3]d, 1000 * extract(epoch FROM $%[5]d::timestamptz - v.bucket))
			THEN (array_agg(v.machine ORDER BY v.measured_ms DESC))[1:%[6]d] END
		FROM (SELECT u.*, greatest(m.interval_ms, u.longest_ms) AS measured_ms,
				m.interval_ms / nullif(m.samples, 0) AS mean_ms
			FROM u LEFT JOIN m ON m.machine = u.machine AND m.bucket = u.bucket) v
			LEFT JOIN measured ON measured.bucket = v.bucket
		GROUP BY v.bucket
		UNION ALL
		SELECT g.bucket, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, (SELECT count(*) FROM ran),
			e.begun + coalesce(reached.begun, 0), coalesce(reached.machines, 0), 0, 0, NULL
		FROM generate_series($2::timestamptz, $3::timestamptz - interval '1 ms', interval '%[3]d ms') g(bucket)
			LEFT JOIN reached ON reached.bucket = g.bucket
			CROSS JOIN LATERAL (SELECT count(*) AS begun FROM begun WHERE begun.bucket < g.bucket) e
		WHERE g.bucket NOT IN (SELECT bucket FROM u)
			AND coalesce(reached.machines, 0) < e.begun + coalesce(reached.begun, 0)
		ORDER BY 1 LIMIT $4`
	// hadBegunSQL is whether the machine of v has data of before $2, the start of the range.
	hadBegunSQL = `(EXISTS (SELECT FROM snapshots s
			WHERE s.machine = v.machine AND s.ts > $2::timestamptz - interval '1 hour' AND s.ts <= $2)
		OR EXISTS (SELECT FROM machine_1h h WHERE h.machine = v.machine
			AND h.bucket_key < date_bin('1 hour', $2::timestamptz, '2000-01-01 00:00:00+00'))
		OR EXISTS (SELECT FROM machine_1d d WHERE d.machine = v.machine
			AND d.bucket_key < date_bin('1 day', $2::timestamptz, '2000-01-01 00:00:00+00')))`
)

// nameMinuteMachines is the maximum number of machines of a chart by minute, because it reads all their samples.
const nameMinuteMachines = 4

// HasNameMinutes reports whether a chart of all processes with a name by minute is possible in a range: the minutes are
// computed from samples.
func (q *Queries) HasNameMinutes(from, to snapshot.Time) bool {
	return q.processResolution(from, to, exactSpan) == ResolutionRaw
}

// nameResolution returns the resolution of a chart of all processes with a name, like ProcessResolution. It is
// ResolutionMinute instead of ResolutionRaw, or ResolutionHour if too many machines ran them, or if one of them has no
// snapshot in most minutes.
func (q *Queries) nameResolution(
	ctx context.Context, machines []int32, from, to snapshot.Time,
) (resolution Resolution, err error) {
	switch {
	case !q.HasNameMinutes(from, to):
		return q.processResolution(from, to, 0), nil
	case len(machines) > nameMinuteMachines:
		return ResolutionHour, nil
	}
	var long bool
	if err := q.pool.QueryRow(ctx, longIntervalsSQL, machines, from.Std(), to.Std()).Scan(&long); err != nil {
		return "", fmt.Errorf("read the intervals of a name's machines: %w", err)
	}
	if long {
		return ResolutionHour, nil
	}
	return ResolutionMinute, nil
}

// longIntervalsSQL is whether a machine takes a snapshot less often than each minute. Agents do not keep an interval to
// the millisecond.
const longIntervalsSQL = `SELECT EXISTS (SELECT FROM snapshots
	WHERE machine = ANY($1::integer[]) AND ts > $2 AND ts <= $3 AND interval_ms > 0
	GROUP BY machine HAVING percentile_disc(0.5) WITHIN GROUP (ORDER BY interval_ms) > 61000)`

// nameMachines returns the machines in the view that ran a process with a name on or after the day of a time, but at
// most one more than nameMinuteMachines.
func (q *Queries) nameMachines(ctx context.Context, view View, name string, from snapshot.Time) ([]int32, error) {
	rows, err := q.pool.Query(ctx, `SELECT m.id FROM machines m WHERE ($3 OR m.tags && $4) AND (EXISTS (
			SELECT FROM processes p WHERE p.machine = m.id AND p.name = $1 AND p.last_day >= $2) OR EXISTS (
			SELECT FROM commands c WHERE c.machine = m.id AND c.name = $1 AND c.last_day >= $2))
		LIMIT $5`, name, firstDay(from), view.All, view.tags(), nameMinuteMachines+1)
	if err != nil {
		return nil, fmt.Errorf("find the machines of a name: %w", err)
	}
	machines, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return nil, fmt.Errorf("find the machines of a name: %w", err)
	}
	return machines, nil
}

// UnmeasuredTime is the time of a point that a history does not have, in which not all machines were measured.
type UnmeasuredTime struct {
	Timestamp                          snapshot.Time // start
	MachinesExpected, MachinesMeasured int64         // see ProcessPoint
}

// NameHistory is the history of all processes with a name.
type NameHistory struct {
	Points     []ProcessPoint
	Unmeasured []UnmeasuredTime
	Resolution Resolution
	// Truncated reports whether there are more points and unmeasured times than the limit.
	Truncated bool
}

// nameShortLived returns a SELECT of the sums of the short-lived processes with the name $1 in the buckets of a
// resolution that begin in [$2, to), and adds its parameters to args.
func nameShortLived(of scope, resolution Resolution, to snapshot.Time, args *[]any) string {
	relation, end := "short_lived_"+string(resolution), to.Std()
	if resolution == ResolutionThreeHours { // which short-lived processes do not have
		relation, end = "short_lived_1h", ceil(end, resolution.Width())
	}
	condition := of.condition("s", args)
	*args = append(*args, end)
	return fmt.Sprintf(nameShortLivedSQL, resolution.Width().Milliseconds(), relation, condition, len(*args))
}

// NameHistory returns at most limit points and unmeasured times of all processes with a name in (from, to], on one
// machine or, with an empty id, on all machines of the view. ResolutionAuto selects a resolution. resolution must not
// be ResolutionRaw. It returns ErrTooManyMachines if there are too many for ResolutionMinute.
func (q *Queries) NameHistory(
	ctx context.Context, view View, machineID, name string, from, to snapshot.Time, resolution Resolution, limit int,
) (NameHistory, error) {
	defer q.observe("name", time.Now())
	of, err := q.scopeOf(ctx, machineID, view)
	if err != nil {
		return NameHistory{}, err
	}
	ran := of.machines // if they are few
	if machineID == "" {
		if ran, err = q.nameMachines(ctx, view, name, from); err != nil {
			return NameHistory{}, err
		}
	}
	if resolution == ResolutionAuto {
		if resolution, err = q.nameResolution(ctx, ran, from, to); err != nil {
			return NameHistory{}, err
		}
	}
	begin := from.Std().UTC().Truncate(resolution.Width())
	sql, measured := nameMinutesSQL, nameMeasuredMinutesSQL
	args := []any{name, begin, to.Std(), limit + 1}
	now := q.now()
	switch {
	case resolution != ResolutionMinute:
		rollup := "process_" + string(resolution)
		sql = fmt.Sprintf(nameBucketsSQL, rollup, of.condition("r", &args), of.condition("p", &args))
		measured = fmt.Sprintf(nameMeasuredSQL, "machine_"+string(resolution))
	case len(ran) > nameMinuteMachines:
		return NameHistory{}, ErrTooManyMachines
	default:
		of.machines = ran
		args = append(args, ran)
	}
	sql += " UNION ALL " + nameShortLived(of, resolution, to, &args)
	args = append(args, now)
	sql = fmt.Sprintf(namePointsSQL, sql, measured, resolution.Width().Milliseconds(), hadBegunSQL, len(args),
		measuredSpanMachines)
	rows, err := q.pool.Query(ctx, sql, args...)
	if err != nil {
		return NameHistory{}, fmt.Errorf("read a name's history: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ProcessPoint, error) {
		var p ProcessPoint
		var at time.Time
		err := row.Scan(
			&at, &p.Processes, &p.CPUTime, &p.CPUTimeMax, &p.MemoryAvg, &p.MemoryMax, &p.ThreadsMax, &p.ReadBytes,
			&p.WriteBytes, &p.ElapsedMS, &p.RunningAvg, &p.Machines, &p.MachinesExpected,
			&p.MachinesMeasured, &p.UnknownCPU, &p.UnknownIO, &p.partlyMeasured,
		)
		p.Timestamp, p.RunningAvg = snapshot.TimeOf(at), rounded(p.RunningAvg)
		return p, err
	})
	if err != nil {
		return NameHistory{}, fmt.Errorf("read a name's history: %w", err)
	}
	history := NameHistory{Resolution: resolution, Truncated: len(all) > limit}
	for _, p := range all[:min(len(all), limit)] {
		switch {
		case p.Processes > 0:
			history.Points = append(history.Points, p)
		case p.Timestamp < snapshot.TimeOf(now):
			history.Unmeasured = append(history.Unmeasured, UnmeasuredTime{
				p.Timestamp, p.MachinesExpected, p.MachinesMeasured,
			})
		}
	}
	if err := q.setMeasured(ctx, history.Points, resolution, now); err != nil {
		return NameHistory{}, err
	}
	return history, nil
}
