package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
)

const shortLivedMachineID = "short-lived"

// measureShortLived writes the short-lived processes of one machine until now, a transaction for each snapshot. It
// prints the CPU time of each, their size, and the times of reads over all of them.
func (b *bench) measureShortLived(ctx context.Context) error {
	begin := snapshot.TimeOf(b.now.Add(-b.shortLived))
	m := newShortLivedMachine(1, b.builds, begin)
	perSnapshot := int(math.Round(b.interval.Seconds() * b.perSecond))
	rng := rand.New(rand.NewPCG(3, 4))
	var known []snapshot.ProcessSample // some of them
	var took, server time.Duration
	processes := 0
	database, err := b.backendCPU(ctx)
	if err != nil {
		return err
	}
	var upkeep time.Duration
	end, hour := b.now, begin.Std().Truncate(time.Hour)
	defer func() { b.now = end }()
	for at := begin.Add(b.interval); at <= snapshot.TimeOf(end); at = at.Add(b.interval) {
		if b.now = at.Std(); b.now.Sub(hour) >= time.Hour && b.store.Profile().Profile == backend.Postgres {
			hour = b.now.Truncate(time.Hour)
			before, err := b.backendCPU(ctx)
			if err != nil {
				return err
			}
			if err := b.store.MaintainOnce(ctx); err != nil {
				return err
			}
			used, err := b.backendCPU(ctx)
			if err != nil {
				return err
			}
			upkeep += used - before
			// Autovacuum would not keep up with this speed.
			if _, err := b.pool.Exec(ctx, `VACUUM ANALYZE short_lived_batches, short_lived_minutes`); err != nil {
				return err
			}
		}
		s := m.snapshot(at, b.interval, perSnapshot)
		processes += m.at
		if rng.IntN(20) == 0 {
			known = append(known, s.Processes[len(s.Processes)-1-rng.IntN(m.at)])
		}
		started, own := time.Now(), ownCPU()
		batch := &snapshot.Batch{MachineID: shortLivedMachineID, Snapshots: []snapshot.Snapshot{s}}
		outcome := b.store.Write(ctx, []*snapshot.Batch{batch})[0]
		if outcome.Err != nil {
			return outcome.Err
		}
		took, server = took+time.Since(started), server+ownCPU()-own
	}
	after, err := b.backendCPU(ctx)
	if err != nil {
		return err
	}
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(processes) }
	b.say(fmt.Sprintf("%d processes, %g each second: writing", processes, b.perSecond), "%s", took.Round(time.Second))
	b.say("  µs a process: time; CPU of the server; CPU of PostgreSQL", "%.1f; %.1f; %.1f", each(took), each(server),
		each(after-database-upkeep))
	b.say("  µs a process: CPU of PostgreSQL for hourly maintenance", "%.1f", each(upkeep))
	rolled, compressed, err := b.settle(ctx)
	if err != nil {
		return err
	}
	b.say("  making rollups; compressing", "%s; %s", rolled.Round(10*time.Millisecond),
		compressed.Round(10*time.Millisecond))
	if err := b.shortLivedSizes(ctx, processes); err != nil {
		return err
	}
	return b.ask(ctx, b.shortLivedQuestions(begin, known, rng))
}

func (b *bench) shortLivedSizes(ctx context.Context, processes int) error {
	st, err := b.store.Storage(ctx)
	if err != nil {
		return err
	}
	var total int64
	for _, size := range st.Relations {
		switch size.Relation {
		case "commands", "owners":
		default:
			if !strings.HasPrefix(size.Relation, backend.ShortLived) {
				continue
			}
		}
		total += size.Bytes
		b.say("    "+size.Relation, "%.1f bytes a process, %.1f MB", float64(size.Bytes)/float64(processes),
			float64(size.Bytes)/1e6)
	}
	b.say("  bytes a process, all of these; bytes of a day", "%.1f; %.0f MB", float64(total)/float64(processes),
		float64(total)/1e6*float64(24*time.Hour)/float64(b.shortLived))
	return nil
}

// shortLivedQuestions ask about all the time.
func (b *bench) shortLivedQuestions(begin snapshot.Time, known []snapshot.ProcessSample, rng *rand.Rand) []question {
	machine := "/machines/" + shortLivedMachineID
	window := "from=" + begin.Add(b.interval).String() + "&to=" + snapshot.TimeOf(b.now).String()
	get := func(path string) func() string { return func() string { return path } }
	one := func() *snapshot.ProcessSample { return &known[rng.IntN(len(known))] }
	return []question{
		{"top 20 by CPU", get(machine + "/processes?" + window)},
		{"top 20 by memory", get(machine + "/processes?sort=memory&" + window)},
		{"top 20 names", get(machine + "/processes?by=name&" + window)},
		{"top 200 by CPU", get(machine + "/processes?limit=200&" + window)},
		{"comparison", get(machine + "/diff?" + window)},
		{"comparison, lists of 100", get(machine + "/diff?limit=100&" + window)},
		{"one process", func() string {
			p := one()
			return fmt.Sprintf("%s/processes/history?pid=%d&started_at=%s&from=%s&to=%s", machine, p.PID,
				url.QueryEscape(p.StartedAt.String()), p.StartedAt.Add(-time.Minute), p.StartedAt.Add(time.Minute))
		}},
		{"a name by hour", func() string {
			return machine + "/processes/history?resolution=1h&name=" + one().Name + "&" + window
		}},
		{"find a command line with a random part", func() string {
			p := one()
			for p.Name != "expr" && p.Name != "cc1" {
				p = one()
			}
			return "/processes?" + window + "&command=" + url.QueryEscape(p.CommandLine)
		}},
		{"find any command line", func() string {
			return "/processes?" + window + "&command=" + url.QueryEscape(one().CommandLine)
		}},
		{"find a word in command lines", func() string {
			return "/processes?" + window + "&command=" + words[rng.IntN(len(words))]
		}},
		{"find a name", func() string { return "/processes?" + window + "&name=" + one().Name }},
		{"find failures", get("/processes?" + window + "&exit=failed")},
	}
}

// backendCPU returns the CPU time of the backends of the database, which must be on this machine. It lacks that of
// connections that were closed.
func (b *bench) backendCPU(ctx context.Context) (total time.Duration, err error) {
	rows, err := b.pool.Query(ctx, `SELECT pid FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`)
	if err != nil {
		return 0, err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
		if err != nil {
			continue // it has ended
		}
		var run int64
		if _, err := fmt.Sscan(string(text), &run); err != nil {
			return 0, fmt.Errorf("read the CPU time of backend %d: %w", pid, err)
		}
		total += time.Duration(run)
	}
	return total, nil
}

// ownCPU returns the CPU time of this process.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
