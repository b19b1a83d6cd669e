package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/snapwatch/snapwatch/agent"
	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/snapshot"
)

type onceCommand struct {
	JSON  bool          `help:"Print the snapshot as JSON, like the API."`
	Apart time.Duration `default:"1s" help:"Time between the two samples. CPU time and I/O are measured between them."`
	Limit int           `default:"30" help:"Number of processes to print, by CPU usage; 0 for all. Not for --json."`
}

// Run prints one snapshot.
func (c onceCommand) Run(ctx context.Context, cfg config.Agent) error {
	state, err := agent.Once(
		ctx, agent.Config{KeepSecrets: cfg.KeepSecrets, SecretPatterns: cfg.SecretPatterns}, c.Apart,
	)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeSnapshot(os.Stdout, state)
	}
	return c.print(os.Stdout, state)
}

// writeSnapshot writes a state in the format of GET /api/v1/machines/{machine_id}/at.
func writeSnapshot(w io.Writer, state *snapshot.State) error {
	view := struct {
		Timestamp  snapshot.Time            `json:"timestamp"`
		Kind       snapshot.Kind            `json:"kind"`
		IntervalMS int64                    `json:"interval_ms"`
		Machine    snapshot.MachineSnapshot `json:"machine_snapshot"`
		Processes  []snapshot.Process       `json:"processes"`
	}{state.Timestamp, state.Kind, state.IntervalMS, state.Machine, state.Processes}
	if err := json.MarshalWrite(w, view, jsontext.WithIndent(" ")); err != nil {
		return fmt.Errorf("write the snapshot: %w", err)
	}
	_, err := fmt.Fprintln(w)
	return err
}

// print writes a state as a table.
func (c onceCommand) print(w io.Writer, state *snapshot.State) error {
	m := &state.Machine
	var out bytes.Buffer
	fmt.Fprintf(
		&out, "%s  CPU %s %%  memory %s of %s MiB  load %s  %d processes\n\n", state.Timestamp, format(m.CPUUsage),
		mebibytes(m.UsedRAM), mebibytes(m.TotalRAM), format(m.Load1), len(state.Processes),
	)
	list := slices.Clone(state.Processes)
	slices.SortFunc(list, func(a, b snapshot.Process) int {
		return cmp.Or(
			cmp.Compare(orZero(b.CPUTime), orZero(a.CPUTime)),
			cmp.Compare(orZero(b.MemoryUsage), orZero(a.MemoryUsage)),
			cmp.Compare(a.PID, b.PID),
		)
	})
	if c.Limit > 0 {
		list = list[:min(c.Limit, len(list))]
	}
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "PID\tPARENT\tS\tCPU %\tMEMORY MiB\tTHREADS\t  USER  NAME  COMMAND LINE")
	for _, p := range list {
		_, _ = fmt.Fprintf(
			table, "%d\t%d\t%s\t%s\t%s\t%s\t  %s  %s  %.80s\n", p.PID, p.PPID, p.State, format(p.CPUUsage),
			mebibytes(p.MemoryUsage), format(p.Threads), printable(p.User), printable(p.Name), printable(p.CommandLine),
		)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// printable replaces characters that are not printable, such as escape sequences, with question marks.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

// orZero returns 0 for an unknown value.
func orZero[T int64 | snapshot.CPUTime](n *T) T {
	if n == nil {
		return 0
	}
	return *n
}

// format returns a number as text, and "-" for an unknown value.
func format[T int32 | float64](n *T) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// mebibytes returns a number of bytes in MiB, and "-" for an unknown value.
func mebibytes(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", float64(*n)/(1<<20))
}
