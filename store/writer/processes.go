package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// resolveProcesses finds or inserts the row of processes of every new reference, raises last_day, and sets the exit
// statuses.
// The locks on the machines' rows keep other writers from inserting the same rows.
func (w *groupWrite) resolveProcesses(ctx context.Context) error {
	if err := w.findProcesses(ctx); err != nil {
		return fmt.Errorf("find processes: %w", err)
	}
	if err := w.insertProcesses(ctx); err != nil {
		return fmt.Errorf("insert processes: %w", err)
	}
	if err := w.setExitStatuses(ctx); err != nil {
		return fmt.Errorf("set the exit status of processes: %w", err)
	}
	if err := w.raiseLastDays(ctx); err != nil {
		return fmt.Errorf("update the last day of processes: %w", err)
	}
	return nil
}

// errStaleRun means that a cached run refers to rows of processes that do not exist any more: another server has
// applied the retention since the run was cached.
var errStaleRun = errors.New("a cached run refers to deleted processes")

// raiseLastDays raises last_day of the processes that have samples of a later day. All rows that retention may have
// deleted are among them. If one was deleted, it returns errStaleRun.
func (w *groupWrite) raiseLastDays(ctx context.Context) error {
	lastDays := make(map[int64]int32)
	for ref, day := range w.touched {
		if ref.id != 0 && ref.day < day {
			lastDays[ref.id] = max(lastDays[ref.id], day)
		}
	}
	if len(lastDays) == 0 {
		return nil
	}
	ids, days := make([]int64, 0, len(lastDays)), make([]time.Time, 0, len(lastDays))
	for id, day := range lastDays {
		ids, days = append(ids, id), append(days, time.Unix(int64(day)*86400, 0).UTC())
	}
	tag, err := w.tx.Exec(ctx, `UPDATE processes p SET last_day = greatest(p.last_day, u.day)
		FROM unnest($1::bigint[], $2::date[]) u(id, day) WHERE p.id = u.id`, ids, days)
	if err == nil && tag.RowsAffected() < int64(len(ids)) {
		err = errStaleRun
	}
	return err
}

// setExitStatuses sets the exit statuses of processes whose rows were stored before. The locks on the machines' rows
// keep other writers from updating the same rows in another order.
func (w *groupWrite) setExitStatuses(ctx context.Context) error {
	if len(w.exits) == 0 {
		return nil
	}
	ids := make([]int64, 0, len(w.exits))
	codes, signals := make([]*int16, 0, len(w.exits)), make([]*int16, 0, len(w.exits))
	for ref, exit := range w.exits {
		ids, codes, signals = append(ids, ref.id), append(codes, exit.ExitCode), append(signals, exit.ExitSignal)
	}
	_, err := w.tx.Exec(ctx, `UPDATE processes p SET exit_code = u.exit_code, exit_signal = u.exit_signal
		FROM unnest($1::bigint[], $2::smallint[], $3::smallint[]) u(id, exit_code, exit_signal)
		WHERE p.id = u.id`, ids, codes, signals)
	return err
}

// newRef is a reference whose row is not known yet, and the sample with the identity of the process.
type newRef struct {
	key    refKey
	ref    *processRef
	sample *snapshot.ProcessSample
	day    time.Time
}

// column returns a value of each reference, for unnest.
func column[T any](list []newRef, value func(newRef) T) []T {
	values := make([]T, len(list))
	for i := range list {
		values[i] = value(list[i])
	}
	return values
}

// keyColumns returns the columns machine, pid, identity and started_at.
func keyColumns(list []newRef) []any {
	return []any{
		column(list, func(n newRef) int32 { return n.key.machine }),
		column(list, func(n newRef) int32 { return n.key.key.PID }),
		column(list, func(n newRef) int64 { return n.key.identity }),
		column(list, func(n newRef) *time.Time { return schema.NullTime(n.key.key.StartedAt) }),
	}
}

// findProcesses looks up the references. It locks the rows that it finds, so that retention does not
// delete them before the commit.
func (w *groupWrite) findProcesses(ctx context.Context) error {
	if len(w.fresh) == 0 {
		return nil
	}
	rows, err := w.tx.Query(ctx, `
		SELECT p.machine, p.pid, p.identity, p.started_at, p.id, p.last_day
		FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::timestamptz[]) u(machine, pid, identity, started_at)
		JOIN processes p ON p.machine = u.machine AND p.pid = u.pid AND p.identity = u.identity
			AND p.started_at IS NOT DISTINCT FROM u.started_at
		FOR KEY SHARE OF p`, keyColumns(w.fresh)...)
	if err != nil {
		return err
	}
	return w.resolve(rows)
}

// insertProcesses inserts the rows that findProcesses did not find.
func (w *groupWrite) insertProcesses(ctx context.Context) error {
	missing := slices.DeleteFunc(w.fresh, func(n newRef) bool { return n.ref.id != 0 })
	if len(missing) == 0 {
		return nil
	}
	rows, err := w.tx.Query(ctx, `
		INSERT INTO processes (machine, pid, identity, started_at, ppid, name, command_line, user_name, last_day, cgroup,
			exit_code, exit_signal, is_later_identity)
		SELECT u.*, row_number() OVER (PARTITION BY u.machine, u.pid, u.started_at) > 1 OR EXISTS (
				SELECT FROM processes p WHERE p.machine = u.machine AND p.pid = u.pid
					AND p.started_at IS NOT DISTINCT FROM u.started_at)
		FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::timestamptz[], $5::integer[], $6::text[], $7::text[],
			$8::text[], $9::date[], $10::text[], $11::smallint[], $12::smallint[])
			u(machine, pid, identity, started_at, ppid, name, command_line, user_name, last_day, cgroup, exit_code,
				exit_signal)
		RETURNING machine, pid, identity, started_at, id, last_day`,
		append(keyColumns(missing),
			column(missing, func(n newRef) int32 { return *n.sample.PPID }),
			column(missing, func(n newRef) string { return n.sample.Name }),
			column(missing, func(n newRef) string { return n.sample.CommandLine }),
			column(missing, func(n newRef) string { return n.sample.User }),
			column(missing, func(n newRef) time.Time { return n.day }),
			column(missing, func(n newRef) string { return n.sample.Cgroup }),
			column(missing, func(n newRef) *int16 { return w.exits[n.ref].ExitCode }),
			column(missing, func(n newRef) *int16 { return w.exits[n.ref].ExitSignal }))...)
	if err != nil {
		return err
	}
	for i := range missing {
		delete(w.exits, missing[i].ref)
	}
	return w.resolve(rows)
}

// resolve sets the ids of the references that the rows belong to.
func (w *groupWrite) resolve(rows pgx.Rows) error {
	_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		key, id, day, err := scanRef(row)
		if ref := w.newRefs[key]; ref != nil {
			ref.id, ref.day = id, day
		}
		return struct{}{}, err
	})
	return err
}

func scanRef(row pgx.CollectableRow) (key refKey, id int64, day int32, err error) {
	var started pgtype.Timestamptz
	var lastDay time.Time
	err = row.Scan(&key.machine, &key.key.PID, &key.identity, &started, &id, &lastDay)
	key.key.StartedAt = snapshot.TimeOf(started.Time)
	return key, id, int32(lastDay.Unix() / 86400), err
}
