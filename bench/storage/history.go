package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/schema"
)

// history fills the database in two steps and measures reads after each. Their times must not grow with the
// database.
func (b *bench) history(ctx context.Context) error {
	fleet := make([]*machine, b.machines)
	for i := range fleet {
		fleet[i] = newMachine(uint64(100+i), fmt.Sprintf("host-%02d", i), b.processes, b.begin())
	}
	total := 0
	done := 0
	for _, days := range []int{max(1, b.days/10), b.days} {
		from := b.begin().Add(time.Duration(done) * 24 * time.Hour)
		to := b.begin().Add(time.Duration(days) * 24 * time.Hour)
		if days == b.days { // and today until now
			to = snapshot.TimeOf(b.now)
		}
		done = days
		wrote, samples, err := b.fill(ctx, fleet, from, to)
		if err != nil {
			return err
		}
		total += samples
		before := busyCPU()
		rolled, compressed, err := b.settle(ctx)
		if err != nil {
			return err
		}
		b.say(
			fmt.Sprintf("%d days × %d machines × %d: writing", days, b.machines, b.processes),
			"%s for %.1f M logical samples", wrote.Round(time.Second), float64(samples)/1e6,
		)
		b.say(
			"  making rollups; their share of the CPU of ingest over HTTP", "%s; %.0f %%",
			rolled.Round(10*time.Millisecond), 100*b.rollupCPU.Seconds()/(b.ingestCPU*float64(samples)),
		)
		b.say(
			"  compressing; the CPU of that and VACUUM likewise", "%s; %.0f %%",
			compressed.Round(10*time.Millisecond),
			100*(busyCPU()-before-b.rollupCPU).Seconds()/(b.ingestCPU*float64(samples)),
		)
		if err := b.sizes(ctx, total); err != nil {
			return err
		}
		if err := b.readAll(ctx, b.begin(), to); err != nil {
			return err
		}
		fmt.Println()
	}
	return nil
}

// fill writes [from, to) of every machine, in batches of ten minutes.
func (b *bench) fill(
	ctx context.Context, fleet []*machine, from, to snapshot.Time,
) (took time.Duration, logical int, err error) {
	for at := from; at < to; {
		group := make([]*snapshot.Batch, len(fleet))
		end := min(at.Add(10*time.Minute), to)
		for i, m := range fleet {
			group[i] = &snapshot.Batch{MachineID: m.id}
			for t := at; t < end; t = t.Add(b.interval) {
				s, n := m.snapshot(t, b.interval, fullEvery)
				group[i].Snapshots = append(group[i].Snapshots, s)
				logical += n
			}
		}
		at = end
		started := time.Now()
		for _, outcome := range b.store.Write(ctx, group) {
			if outcome.Err != nil {
				return took, logical, outcome.Err
			}
		}
		took += time.Since(started)
	}
	return took, logical, nil
}

// series are the hypertables.
var series = []string{
	"snapshots", "process_samples", "disk_samples", "net_samples", schema.ShortLivedRows.Name, schema.ShortLivedMinutes,
}

// settle refreshes rollups and compresses old chunks, as the jobs do over time.
func (b *bench) settle(ctx context.Context) (rolled, compressed time.Duration, err error) {
	started, before := time.Now(), busyCPU()
	if b.store.Profile().Profile == backend.Postgres {
		err = b.store.MaintainOnce(ctx)
		rolled, b.rollupCPU = time.Since(started), busyCPU()-before
		if err == nil {
			_, err = b.pool.Exec(ctx, `VACUUM ANALYZE`)
		}
		return rolled, 0, err
	}
	// Refresh in one pass if this version can (since 2.28). The regular jobs, which run every few minutes, also
	// take one pass. Otherwise, each step of ten buckets is planned separately.
	options := ""
	var steps bool
	if err := b.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_proc WHERE proname = 'refresh_continuous_aggregate' AND 'options' = ANY(proargnames))`).Scan(&steps); err != nil {
		return 0, 0, err
	}
	if steps {
		options = `, options => '{"buckets_per_batch": 0}'`
	}
	for _, relation := range backend.Rollups {
		if _, err := b.pool.Exec(ctx, fmt.Sprintf(`CALL refresh_continuous_aggregate('%s_cagg', NULL, now() - interval '10 minutes'%s)`, relation, options)); err != nil {
			return 0, 0, err
		}
	}
	rolled, b.rollupCPU, started = time.Since(started), busyCPU()-before, time.Now()
	b.pool.Reset() // close connections that do not have the new batch size yet
	for _, relation := range slices.Concat(series, backend.Rollups) {
		age := "12 hours"
		switch {
		case slices.Contains(backend.Rollups, relation):
			relation, age = relation+"_cagg", "3 days"
		case relation == schema.ShortLivedRows.Name:
			age = "1 hour"
		}
		if _, err := b.pool.Exec(ctx, fmt.Sprintf(`SELECT compress_chunk(c, true) FROM show_chunks('%s', older_than => interval '%s') c`, relation, age)); err != nil {
			return 0, 0, err
		}
	}
	compressed = time.Since(started)
	_, err = b.pool.Exec(ctx, `VACUUM ANALYZE`)
	return rolled, compressed, err
}

func (b *bench) sizes(ctx context.Context, logical int) error {
	st, err := b.store.Storage(ctx)
	if err != nil {
		return err
	}
	var perDay float64
	if st.BytesPerDay != nil {
		perDay = float64(*st.BytesPerDay)
	}
	b.say(
		"  bytes per logical sample, everything; in the long run", "%.2f; %.2f (compression %.0f)",
		float64(st.Bytes)/float64(logical), perDay/float64(max(st.SamplesPerDay, 1)), st.Compression,
	)
	for _, size := range st.Relations {
		if share := float64(size.Bytes) / float64(logical); share > 0.005 {
			b.say("    "+size.Relation, "%.3f", share)
		}
	}
	return nil
}

// readAll asks about random machines and times.
func (b *bench) readAll(ctx context.Context, from, to snapshot.Time) error {
	rng := rand.New(rand.NewPCG(1, 2))
	machineID := func() string { return fmt.Sprintf("host-%02d", rng.IntN(b.machines)) }
	instant := func(margin time.Duration) snapshot.Time {
		return from + snapshot.Time(rng.Int64N(max(1, int64(to)-int64(from.Add(margin)))))
	}
	window := func(span time.Duration) string {
		at := instant(span)
		return "from=" + at.String() + "&to=" + at.Add(span).String()
	}
	pid := 3 + rng.IntN(b.processes/2)
	return b.ask(ctx, []question{
		{"/at, any instant", func() string { return "/machines/" + machineID() + "/at?time=" + instant(0).String() }},
		{"/at, the last hour", func() string {
			return "/machines/" + machineID() + "/at?time=" + to.Add(-time.Duration(rng.Int64N(int64(time.Hour)))).
				String()
		}},
		{
			"top 20 of 24 h, any",
			func() string { return "/machines/" + machineID() + "/processes?" + window(24*time.Hour) },
		},
		{"top 20 of 24 h, until now", func() string {
			return "/machines/" + machineID() + "/processes?from=" + to.Add(-24*time.Hour).
				String() +
				"&to=" + to.String()
		}},
		{"one process, 24 h", func() string {
			return fmt.Sprintf("/machines/%s/processes/history?pid=%d&%s", machineID(), pid, window(24*time.Hour))
		}},
		{"one process, 2 h of samples", func() string {
			return fmt.Sprintf("/machines/%s/processes/history?pid=%d&%s", machineID(), pid, window(2*time.Hour))
		}},
		{"top 20 of 10 minutes of samples", func() string {
			return "/machines/" + machineID() + "/processes?" + window(10*time.Minute)
		}},
		{"sparklines of processes, 10 minutes", func() string {
			return "/machines/" + machineID() + "/processes/trends?" + window(10*time.Minute)
		}},
		{"sparklines of processes, an hour", func() string {
			return "/machines/" + machineID() + "/processes/trends?" + window(time.Hour)
		}},
		{"chart, an hour", func() string { return "/machines/" + machineID() + "/metrics?" + window(time.Hour) }},
		{"chart, 24 h until now", func() string {
			return "/machines/" + machineID() + "/metrics?from=" + to.Add(-24*time.Hour).String() + "&to=" + to.String()
		}},
		{"chart, all until now", func() string {
			return "/machines/" + machineID() + "/metrics?from=" + from.String() + "&to=" + to.String()
		}},
		{"chart, a year until now", func() string {
			return "/machines/" + machineID() + "/metrics?from=" + to.Add(-365*24*time.Hour).
				String() +
				"&to=" + to.String()
		}},
		{"diff over 6 h, any", func() string { return "/machines/" + machineID() + "/diff?" + window(6*time.Hour) }},
		{
			"fleet: who ran nginx at an instant",
			func() string { return "/processes?name=nginx&time=" + instant(0).String() },
		},
	})
}

// question is a kind of request. path returns the path of the next one, below /api/v1.
type question struct {
	name string
	path func() string
}

// askTime is how long a kind of request is sent if it is slow.
const askTime = 20 * time.Second

// ask sends each request many times over HTTP, and prints the quantiles.
func (b *bench) ask(ctx context.Context, questions []question) error {
	nothing := func(*gin.Context) {}
	access, client, err := b.access(ctx)
	if err != nil {
		return err
	}
	server := httptest.NewServer(
		api.New(
			api.Config{Version: "bench", RequestRate: 1e9, Now: func() time.Time { return b.now }},
			api.Parts{
				Store:    b.store,
				Access:   access,
				Ingest:   nothing,
				Live:     nothing,
				UI:       http.NotFoundHandler(),
				Registry: prometheus.NewRegistry(),
				Logger:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
			},
		),
	)
	defer server.Close()
	for _, question := range questions {
		times := make([]time.Duration, 0, b.reads)
		first := time.Now()
		for i := range b.reads + 20 {
			if len(times) >= 5 && time.Since(first) > askTime {
				break
			}
			started := time.Now()
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/v1"+question.path(), nil)
			if err != nil {
				return err
			}
			response, err := client.Do(request)
			if err != nil {
				return err
			}
			text, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s %.300s", question.name, response.Status, text)
			}
			if i >= 20 || time.Since(first) > askTime/2 { // the first ones warm up
				times = append(times, time.Since(started))
			}
		}
		slices.Sort(times)
		b.say("  "+question.name, "p50 %5.1f ms, p99 %5.1f ms of %d", ms(times[len(times)/2]),
			ms(times[len(times)*99/100]), len(times))
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
