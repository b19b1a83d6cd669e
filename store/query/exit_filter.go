package query

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
)

// ExitFilter selects processes by how they ended. The zero ExitFilter selects all processes, the others only those
// whose exit status is known.
type ExitFilter struct {
	kind   exitKind
	number int16
}

type exitKind int

const (
	anyExit exitKind = iota
	exitOK
	exitFailed
	exitAnySignal
	exitCode
	exitSignal
)

// ParseExitFilter parses a filter: "" (all processes), ok (exit code 0), failed (another exit code or a signal), signal
// (any signal), code:N, signal:N, or signal:NAME with a name such as KILL or SIGKILL.
func ParseExitFilter(text string) (ExitFilter, error) {
	switch text {
	case "":
		return ExitFilter{}, nil
	case "ok":
		return ExitFilter{kind: exitOK}, nil
	case "failed":
		return ExitFilter{kind: exitFailed}, nil
	case "signal":
		return ExitFilter{kind: exitAnySignal}, nil
	}
	kind, value, _ := strings.Cut(text, ":")
	switch kind {
	case "code":
		code, err := strconv.ParseUint(value, 10, 16)
		if err != nil || code > snapshot.MaxExitCode {
			return ExitFilter{}, fmt.Errorf("must be code:N with N from 0 to %d", snapshot.MaxExitCode)
		}
		return ExitFilter{exitCode, int16(code)}, nil
	case "signal":
		signal := snapshot.SignalNumber(value)
		if signal == 0 {
			return ExitFilter{}, fmt.Errorf("must be signal:N with N from 1 to %d or a name such as KILL",
				snapshot.MaxExitSignal)
		}
		return ExitFilter{exitSignal, signal}, nil
	}
	return ExitFilter{}, errors.New("must be ok, failed, signal, code:N or signal:N")
}

// matches reports whether a process with an exit status is selected.
func (f ExitFilter) matches(e snapshot.ExitStatus) bool {
	switch f.kind {
	case exitOK:
		return e.ExitCode != nil && *e.ExitCode == 0
	case exitFailed:
		return e.ExitCode != nil && *e.ExitCode != 0 || e.ExitSignal != nil
	case exitAnySignal:
		return e.ExitSignal != nil
	case exitCode:
		return e.ExitCode != nil && *e.ExitCode == f.number
	case exitSignal:
		return e.ExitSignal != nil && *e.ExitSignal == f.number
	}
	return true
}

// condition returns the condition on processes p. The exit status may be that of another identity of the process.
func (f ExitFilter) condition(parameter func(any) string) string {
	condition := f.formatOf(parameter)
	if condition == "" {
		return "true"
	}
	return fmt.Sprintf(`(`+condition+` OR %[1]s.exit_code IS NULL AND %[1]s.exit_signal IS NULL AND EXISTS (
		SELECT FROM processes %[2]s WHERE %[2]s.machine = %[1]s.machine AND %[2]s.pid = %[1]s.pid
			AND %[2]s.started_at IS NOT DISTINCT FROM %[1]s.started_at AND `, "p", "e") +
		fmt.Sprintf(condition, "e") + `))`
}

// shortLivedCondition returns the condition on rows s of the view short_lived.
func (f ExitFilter) shortLivedCondition(parameter func(any) string) string {
	if condition := f.formatOf(parameter); condition != "" {
		return fmt.Sprintf(condition, "s")
	}
	return "true"
}

// formatOf returns the condition on the columns exit_code and exit_signal of a table %[1]s, "" for all processes.
func (f ExitFilter) formatOf(parameter func(any) string) string {
	switch f.kind {
	case exitOK:
		return "%[1]s.exit_code = 0"
	case exitFailed:
		return "(%[1]s.exit_code <> 0 OR %[1]s.exit_signal IS NOT NULL)"
	case exitAnySignal:
		return "%[1]s.exit_signal IS NOT NULL"
	case exitCode:
		return "%[1]s.exit_code = " + parameter(f.number)
	case exitSignal:
		return "%[1]s.exit_signal = " + parameter(f.number)
	}
	return ""
}

// exitStatusSQL is the exit status of processes p: that of the row or, if it has none, of another identity of the
// process.
const exitStatusSQL = `(SELECT e.exit_code, e.exit_signal FROM processes e
	WHERE e.machine = p.machine AND e.pid = p.pid AND e.started_at IS NOT DISTINCT FROM p.started_at
		AND (p.exit_code IS NULL AND p.exit_signal IS NULL OR e.id = p.id)
	ORDER BY coalesce(e.exit_code, e.exit_signal) IS NULL, e.id DESC LIMIT 1)`

// setExits sets the exit status of the processes of a machine that are known to have ended.
func (q *Queries) setExits(ctx context.Context, machineID string, processes []snapshot.Process) error {
	pids := make([]int32, len(processes))
	byKey := make(map[snapshot.ProcessKey]*snapshot.Process, len(processes))
	for i := range processes {
		pids[i] = processes[i].PID
		byKey[processes[i].ProcessKey] = &processes[i]
	}
	rows, err := q.pool.Query(ctx, `SELECT p.pid, p.started_at, p.exit_code, p.exit_signal
		FROM processes p WHERE p.machine = (SELECT id FROM machines WHERE machine_id = $1) AND p.pid = ANY($2)
			AND (p.exit_code IS NOT NULL OR p.exit_signal IS NOT NULL)`, machineID, pids)
	if err != nil {
		return fmt.Errorf("read the exit statuses of processes: %w", err)
	}
	var pid int32
	var started pgtype.Timestamptz
	var exit snapshot.ExitStatus
	if _, err := pgx.ForEachRow(rows, []any{&pid, &started, &exit.ExitCode, &exit.ExitSignal}, func() error {
		if p := byKey[snapshot.ProcessKey{PID: pid, StartedAt: snapshot.TimeOf(started.Time)}]; p != nil {
			p.Exit = exit
		}
		return nil
	}); err != nil {
		return fmt.Errorf("read the exit statuses of processes: %w", err)
	}
	return nil
}
