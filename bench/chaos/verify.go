//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/bench/product"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// comparison counts the snapshots that were compared.
type comparison struct {
	acknowledged         int // compared by value
	recorded             int // by the real agent
	lost, doubled, wrong int
	notes                []string // the first differences
}

func (c *comparison) add(other comparison) {
	c.acknowledged += other.acknowledged
	c.recorded += other.recorded
	c.lost += other.lost
	c.doubled += other.doubled
	c.wrong += other.wrong
	c.notes = append(c.notes, other.notes...)
}

func (c *comparison) note(format string, arguments ...any) {
	if len(c.notes) < 10 {
		c.notes = append(c.notes, fmt.Sprintf(format, arguments...))
	}
}

// verify ends the load, and compares all snapshots with what is stored.
func (w *world) verify(ctx context.Context, result *results) error {
	w.stopLoad()
	w.running.Wait()
	var c comparison
	defer func() {
		result.comparison.add(c)
		result.responses = append(result.responses, w.fleet.summary())
		result.faults = append(result.faults, w.fleet.faults...)
	}()
	conn, err := w.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if w.real != nil {
		if err := w.verifyReal(ctx, conn, &c); err != nil {
			return err
		}
	}
	for _, one := range w.fleet.agents {
		if err := w.verifyAgent(ctx, one, &c); err != nil {
			return err
		}
	}
	err = conn.QueryRow(ctx, `SELECT (SELECT count(*) - count(DISTINCT (machine, ts)) FROM snapshots) +
		(SELECT count(*) - count(DISTINCT (machine, process, ts)) FROM process_samples)`).Scan(&c.doubled)
	if err != nil {
		return fmt.Errorf("count rows that are stored twice: %w", err)
	}
	return nil
}

// verifyReal waits until all snapshots are stored that the real agent has recorded.
func (w *world) verifyReal(ctx context.Context, conn *pgx.Conn, c *comparison) error {
	if err := w.configureReal(ctx, `{"enabled": false}`); err != nil {
		return err
	}
	// Until the config has reached it, the agent records more.
	var stored int
	var instants []string
	for until := time.Now().Add(time.Minute); ; {
		instants = w.real.instants()
		err := conn.QueryRow(ctx, `SELECT count(*) FROM snapshots s JOIN machines m ON m.id = s.machine
			WHERE machine_id = $1 AND ts = ANY($2::timestamptz[])`, realMachine, instants).Scan(&stored)
		if err != nil {
			return fmt.Errorf("count the snapshots of the agent: %w", err)
		}
		if stored == len(instants) || time.Now().After(until) {
			break
		}
		if err := product.Pause(ctx, pollPause); err != nil {
			return err
		}
	}
	c.recorded = len(instants)
	if missing := len(instants) - stored; missing != 0 {
		c.lost += missing
		c.note("the agent has recorded %d snapshots, %d are stored", len(instants), stored)
	}
	return nil
}

// stored is a snapshot as the API returns it.
type storedSnapshot struct {
	Timestamp       snapshot.Time            `json:"timestamp"`
	MachineSnapshot snapshot.MachineSnapshot `json:"machine_snapshot"`
	Processes       []snapshot.Process       `json:"processes"`
}

// verifyAgent compares the snapshots of a simulated machine by value.
func (w *world) verifyAgent(ctx context.Context, a *agent, c *comparison) error {
	if len(a.sent) == 0 {
		c.note("%s has sent nothing", a.id)
		return nil
	}
	stream, left := newStream(a.seed, a.processes), a.sent
	query := url.Values{
		"from": {left[0].at.Add(-time.Minute).String()}, "to": {left[len(left)-1].at.Add(time.Minute).String()},
		"include_processes": {"true"}, "limit": {"100"},
	}
	if end := snapshot.TimeOf(time.Now()); left[len(left)-1].at.Add(time.Minute) > end {
		query.Set("to", end.String())
	}
	missing := func(i instant) {
		stream.next(i)
		if i.stored == acknowledged {
			c.lost++
			c.note("%s at %s was acknowledged and is not stored", a.id, i.at)
		}
	}
	for {
		var page struct {
			Results    []storedSnapshot `json:"results"`
			NextCursor *string          `json:"next_cursor"`
		}
		if err := w.get(ctx, "/api/v1/machines/"+a.id+"/snapshots?"+query.Encode(), &page); err != nil {
			return err
		}
		for _, got := range page.Results {
			for len(left) > 0 && left[0].at < got.Timestamp {
				missing(left[0])
				left = left[1:]
			}
			if len(left) == 0 || left[0].at != got.Timestamp {
				c.wrong++
				c.note("%s has a snapshot at %s that was not sent, or is stored twice", a.id, got.Timestamp)
				continue
			}
			a.compare(stream, left[0], got, c)
			left = left[1:]
		}
		if page.NextCursor == nil {
			break
		}
		query.Set("cursor", *page.NextCursor)
	}
	for _, i := range left {
		missing(i)
	}
	return nil
}

// compare compares a snapshot by value.
func (a *agent) compare(stream *stream, i instant, got storedSnapshot, c *comparison) {
	sent, processes := stream.next(i)
	if i.stored == acknowledged {
		c.acknowledged++
	}
	diff := snapshottest.Diff(got.Processes, processes)
	if diff == "" {
		diff = diffMetrics(got.MachineSnapshot, sent.Machine)
	}
	if i.stored == refused {
		diff = "it was refused"
	}
	if diff != "" {
		c.wrong++
		c.note("%s at %s: %s", a.id, i.at, diff)
	}
}

// diffMetrics compares system metrics, and describes the difference.
func diffMetrics(got, want snapshot.MachineSnapshot) string {
	gotText, gotErr := json.Marshal(got)
	wantText, wantErr := json.Marshal(want)
	if gotErr != nil || wantErr != nil || string(gotText) != string(wantText) {
		return fmt.Sprintf("got %s\nwant %s (%v, %v)", gotText, wantText, gotErr, wantErr)
	}
	return ""
}

// get reads a path of the API. If into is nil, the response is discarded.
func (w *world) get(ctx context.Context, path string, into any) error {
	return product.Call(ctx, w.client, http.MethodGet, w.links[len(w.links)-1].url()+path, nil, into)
}
