//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// maxRecovery is how long the service may take to recover by itself.
const maxRecovery = 10 * time.Second

// results is what a run has found.
type results struct {
	rows       []row
	before     resources
	comparison comparison
	responses  []string // of each fleet
	faults     []string // responses that no agent should get
}

// row is the result of a fault.
type row struct {
	name     string
	held     time.Duration // how long the cause lasted
	failures int           // posts that were not accepted
	recovery recovery
	agent    time.Duration // until a snapshot of the agent that was ended is stored, with its pauses between attempts
	after    resources
	note     string
	skipped  string // why it was not injected
}

func (r *results) add(one row) { r.rows = append(r.rows, one) }

// print prints the results as a Markdown table.
func (r *results) print(out io.Writer, s settings) error {
	table := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	_, _ = fmt.Fprintln(
		table, "| fault\t| lasted\t| refused posts\t| ready\t| post\t| live view\t| agent\t| in use after\t|",
	)
	_, _ = fmt.Fprintln(table, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, one := range r.rows {
		if one.skipped != "" || one.note != "" {
			_, _ = fmt.Fprintf(table, "| %s\t| \t| \t| \t| \t| \t| \t| %s\t|\n", one.name, one.skipped+one.note)
			continue
		}
		after := one.after.String()
		if one.after == (resources{}) {
			after = ""
		}
		agent := ""
		if one.agent != 0 {
			agent = seconds(one.agent)
		}
		_, _ = fmt.Fprintf(
			table, "| %s\t| %s\t| %d\t| %s\t| %s\t| %s\t| %s\t| %s\t|\n", one.name, seconds(one.held), one.failures,
			target(one.recovery.ready), target(one.recovery.post), target(one.recovery.live), agent, after,
		)
	}
	err := table.Flush()
	c := r.comparison
	_, _ = fmt.Fprintf(out, "\nseed %d; in use before (goroutines, connections, memory): %s\nresponses: %s\n",
		s.seed, r.before, strings.Join(r.responses, "; "))
	for _, text := range append(append([]string(nil), r.faults...), c.notes...) {
		_, _ = fmt.Fprintln(out, text)
	}
	_, _ = fmt.Fprintf(out, "%d acknowledged snapshots compared, and %d of the real agent\n"+
		"lost %d\ndoubled %d\nwrong %d\n", c.acknowledged, c.recorded, c.lost, c.doubled, c.wrong)
	return err
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// target formats the time of a recovery, in bold if it misses its target.
func target(d time.Duration) string {
	if d > maxRecovery {
		return "**" + seconds(d) + "**"
	}
	return seconds(d)
}

// check returns an error if a target is missed.
func (r *results) check() error {
	err := r.checkData()
	for _, one := range r.rows {
		if one.skipped != "" {
			err = errors.Join(err, fmt.Errorf("%s: not injected: %s", one.name, one.skipped))
		}
		if one.recovery.all() > maxRecovery {
			err = errors.Join(err, fmt.Errorf("%s: recovery took more than %s", one.name, maxRecovery))
		}
	}
	return err
}

// checkData is check without the targets that depend on the speed of the machine.
func (r *results) checkData() (err error) {
	if c := r.comparison; c.lost+c.doubled+c.wrong != 0 {
		err = fmt.Errorf("lost %d, doubled %d, wrong %d: %s", c.lost, c.doubled, c.wrong, strings.Join(c.notes, "\n"))
	} else if c.acknowledged == 0 && len(r.responses) > 0 {
		err = errors.New("no snapshots were compared")
	}
	for _, text := range r.faults {
		err = errors.Join(err, errors.New(text))
	}
	for _, one := range r.rows {
		if one.after != (resources{}) && !one.after.within(r.before) {
			err = errors.Join(err, fmt.Errorf("%s: in use after: %s, before: %s", one.name, one.after, r.before))
		}
	}
	return err
}
