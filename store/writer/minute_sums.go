package writer

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// minuteKey identifies a row of short_lived_minutes. The minute is its column ts: a millisecond after the start.
type minuteKey struct {
	minute         snapshot.Time
	machine, owner int32
	name           string
}

// minuteSum is a sum of short-lived processes. Amounts are nil if none is known.
type minuteSum struct {
	processes, failed      int64
	cpu, cpuMax, memoryMax *int64
	elapsedMS, longestMS   int64
	memorySum              *float64 // bytes times milliseconds
	memoryMS               *int64
	readBytes, writeBytes  *int64
	unknownCPU, unknownIO  int64
	first, last            snapshot.Time
}

// minuteSums are the sums that a transaction adds to short_lived_minutes.
type minuteSums map[minuteKey]*minuteSum

const minuteMS = 60_000

// minuteOf returns short_lived_minutes.ts of a snapshot. A snapshot exactly at the end of a minute belongs to it.
func minuteOf(ts snapshot.Time) snapshot.Time { return (ts-1)/minuteMS*minuteMS + 1 }

// add adds a process with a name.
func (m minuteSums) add(batch *schema.ShortLivedBatch, process *schema.ShortLived, name string) {
	key := minuteKey{minuteOf(batch.Timestamp), batch.Machine, process.Owner, name}
	sum := m[key]
	if sum == nil {
		sum = &minuteSum{first: batch.Timestamp}
		m[key] = sum
	}
	age := int64(process.AgeMS)
	sum.processes++
	sum.elapsedMS += age
	sum.longestMS = max(sum.longestMS, age)
	sum.first, sum.last = min(sum.first, batch.Timestamp), max(sum.last, batch.Timestamp)
	if exit := process.Exit; exit.ExitSignal != nil || exit.ExitCode != nil && *exit.ExitCode != 0 {
		sum.failed++
	}
	if process.CPUTime == nil {
		sum.unknownCPU++
	}
	if process.ReadBytes == nil || process.WriteBytes == nil {
		sum.unknownIO++
	}
	snapshot.AddAmount(&sum.cpu, process.CPUTime)
	raise(&sum.cpuMax, process.CPUTime)
	snapshot.AddAmount(&sum.readBytes, process.ReadBytes)
	snapshot.AddAmount(&sum.writeBytes, process.WriteBytes)
	if process.Memory != nil {
		raise(&sum.memoryMax, process.Memory)
		snapshot.AddAmount(&sum.memoryMS, &age)
		if sum.memorySum == nil {
			sum.memorySum = new(float64)
		}
		*sum.memorySum += float64(*process.Memory) * float64(age)
	}
}

// raise sets largest to a value that may be unknown, if it is larger.
func raise(largest **int64, value *int64) {
	if value != nil && (*largest == nil || **largest < *value) {
		*largest = new(*value)
	}
}

// write adds the sums to the table. The locks on the machines' rows keep other writers from changing the same rows.
func (m minuteSums) write(ctx context.Context, tx pgx.Tx) error {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b minuteKey) int {
		return cmp.Or(cmp.Compare(a.machine, b.machine), cmp.Compare(a.minute, b.minute), cmp.Compare(a.name, b.name),
			cmp.Compare(a.owner, b.owner))
	})
	_, err := tx.Exec(ctx, addMinutesSQL,
		sumColumn(keys, func(k minuteKey) time.Time { return k.minute.Std() }),
		sumColumn(keys, func(k minuteKey) int32 { return k.machine }),
		sumColumn(keys, func(k minuteKey) int32 { return k.owner }),
		sumColumn(keys, func(k minuteKey) string { return k.name }),
		sumColumn(keys, func(k minuteKey) int64 { return m[k].processes }),
		sumColumn(keys, func(k minuteKey) int64 { return m[k].failed }),
		sumColumn(keys, func(k minuteKey) *int64 { return m[k].cpu }),
		sumColumn(keys, func(k minuteKey) *int64 { return m[k].cpuMax }),
		sumColumn(keys, func(k minuteKey) int64 { return m[k].elapsedMS }),
		sumColumn(keys, func(k minuteKey) int64 { return m[k].longestMS }),
		sumColumn(keys, func(k minuteKey) *float64 { return m[k].memorySum }),
		sumColumn(keys, func(k minuteKey) *int64 { return m[k].memoryMS }),
		sumColumn(keys, func(k minuteKey) *int64 { return m[k].memoryMax }),
		sumColumn(keys, func(k minuteKey) *int64 { return m[k].readBytes }),
		sumColumn(keys, func(k minuteKey) *int64 { return m[k].writeBytes }),
		sumColumn(keys, func(k minuteKey) int64 { return m[k].unknownCPU }),
		sumColumn(keys, func(k minuteKey) int64 { return m[k].unknownIO }),
		sumColumn(keys, func(k minuteKey) time.Time { return m[k].first.Std() }),
		sumColumn(keys, func(k minuteKey) time.Time { return m[k].last.Std() }))
	return err
}

// sumColumn returns a value of each sum, for unnest.
func sumColumn[T any](keys []minuteKey, value func(minuteKey) T) []T {
	values := make([]T, len(keys))
	for i, key := range keys {
		values[i] = value(key)
	}
	return values
}

// addMinutesSQL inserts sums, or adds them to those of the same key.
const addMinutesSQL = `INSERT INTO short_lived_minutes AS m (ts, machine, owner, name, processes, failed, cpu_us,
		cpu_us_max, elapsed_ms, longest_ms, memory_sum, memory_ms, memory_max, read_bytes, write_bytes, unknown_cpu,
		unknown_io, first_ts, last_ts)
	SELECT u.ts, u.machine, u.owner, u.name, u.processes, u.failed, u.cpu_us, u.cpu_us_max, u.elapsed_ms, u.longest_ms,
		u.memory_sum, u.memory_ms, u.memory_max, u.read_bytes, u.write_bytes, u.unknown_cpu, u.unknown_io, u.first_ts,
		u.last_ts
	FROM unnest($1::timestamptz[], $2::integer[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
		$8::bigint[], $9::bigint[], $10::bigint[], $11::double precision[], $12::bigint[], $13::bigint[],
		$14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::timestamptz[], $19::timestamptz[])
		u(ts, machine, owner, name, processes, failed, cpu_us, cpu_us_max, elapsed_ms, longest_ms, memory_sum,
			memory_ms, memory_max, read_bytes, write_bytes, unknown_cpu, unknown_io, first_ts, last_ts)
	ON CONFLICT (machine, ts, name, owner) DO UPDATE SET
		processes = m.processes + excluded.processes,
		failed = m.failed + excluded.failed,
		cpu_us = add_amounts(m.cpu_us, excluded.cpu_us),
		cpu_us_max = greatest(m.cpu_us_max, excluded.cpu_us_max),
		elapsed_ms = m.elapsed_ms + excluded.elapsed_ms,
		longest_ms = greatest(m.longest_ms, excluded.longest_ms),
		memory_sum = coalesce(m.memory_sum + excluded.memory_sum, m.memory_sum, excluded.memory_sum),
		memory_ms = add_amounts(m.memory_ms, excluded.memory_ms),
		memory_max = greatest(m.memory_max, excluded.memory_max),
		read_bytes = add_amounts(m.read_bytes, excluded.read_bytes),
		write_bytes = add_amounts(m.write_bytes, excluded.write_bytes),
		unknown_cpu = m.unknown_cpu + excluded.unknown_cpu,
		unknown_io = m.unknown_io + excluded.unknown_io,
		first_ts = least(m.first_ts, excluded.first_ts),
		last_ts = greatest(m.last_ts, excluded.last_ts)`
