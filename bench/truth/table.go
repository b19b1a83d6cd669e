//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// row is a line of the table.
type row struct {
	name                         string
	load                         string // average number of threads that run or want to
	truth, stored, diff, allowed string
	missed                       bool
	skipped                      string // why it was not measured
}

// printTable prints the rows as a Markdown table.
func printTable(w io.Writer, rows []row) error {
	table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	_, _ = fmt.Fprintln(table, "| case\t| load\t| truth\t| stored\t| error\t| target\t| result\t|")
	_, _ = fmt.Fprintln(table, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, r := range rows {
		_, _ = fmt.Fprintf(
			table, "| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t|\n",
			r.name, r.load, r.truth, r.stored, r.diff, r.allowed, r.result(),
		)
	}
	return table.Flush()
}

func (r *row) result() string {
	switch {
	case r.skipped != "":
		return "not measured: " + r.skipped
	case r.missed:
		return "**missed**"
	}
	return "met"
}

// timeRow compares CPU times. The row is missed if they differ by more than allowed.
func timeRow(name string, truth, stored, allowed time.Duration) row {
	diff := stored - truth
	return row{
		name: name, truth: milliseconds(truth), stored: milliseconds(stored),
		diff:    difference(milliseconds(diff), percent(float64(diff), float64(truth))),
		allowed: "± " + milliseconds(allowed), missed: diff.Abs() > allowed,
	}
}

// bytesRow compares numbers of bytes. The row is missed if they differ by more than allowed.
func bytesRow(name string, truth, stored, allowed int64) row {
	diff := stored - truth
	r := row{name: name, truth: bytesText(truth), stored: bytesText(stored), diff: bytesText(diff), allowed: "exact"}
	if truth != 0 {
		r.diff = difference(r.diff, percent(float64(diff), float64(truth)))
	}
	if allowed != 0 {
		r.allowed = "± " + bytesText(allowed)
	}
	r.missed = max(diff, -diff) > allowed
	return r
}

// textRow compares texts.
func textRow(name, truth, stored string) row {
	return row{name: name, truth: truth, stored: stored, allowed: "equal", missed: truth != stored}
}

// limitRow compares a share with its upper limit of 100 %.
func limitRow(name string, share float64) row {
	return row{
		name: name, truth: "≤ 100 %", stored: fmt.Sprintf("%.1f %%", 100*share),
		allowed: "≤ 100 %", missed: share > 1,
	}
}

func difference(amount, share string) string {
	if !strings.HasPrefix(amount, "-") {
		amount = "+" + amount
	}
	return amount + ", " + share
}

func percent(part, whole float64) string { return fmt.Sprintf("%+.1f %%", 100*part/whole) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// bytesText returns a number with separators.
func bytesText(n int64) string {
	digits := fmt.Sprint(max(n, -n))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if n < 0 {
		digits = "-" + digits
	}
	return digits + " B"
}
