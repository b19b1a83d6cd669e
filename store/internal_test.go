package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

func TestCover(t *testing.T) {
	now := time.Date(2026, 5, 20, 15, 40, 0, 0, time.UTC)
	keep := Retention{RawDays: 30, MinuteDays: 90, HourDays: 100, ThreeHoursDays: 700, DayDays: 700}
	for _, test := range []struct {
		name, from, to string
		exact          bool
		want           string
	}{
		{"two hours", "05-20T12:10", "05-20T14:10", false, "process_samples 20T12:10-20T14:10"},
		{"until now", "05-20T02:10", "05-20T15:40", false, "process_1h 20T02:00-20T15:00, process_samples 20T15:00-20T15:40"},
		{"past hours, widened", "05-20T02:10", "05-20T09:20", false, "process_1h 20T02:00-20T10:00"},
		{"past hours, exact", "05-20T02:10", "05-20T09:20", true, "process_samples 20T02:10-20T03:00, process_1h 20T03:00-20T09:00, process_samples 20T09:00-20T09:20"},
		{"days in the middle", "05-10T13:10", "05-20T15:40", false, "process_1h 10T13:00-11T00:00, process_1d 11T00:00-20T00:00, process_1h 20T00:00-20T15:00, process_samples 20T15:00-20T15:40"},
		{"an exact day", "05-11T00:00", "05-12T00:00", true, "process_1d 11T00:00-12T00:00"},
		{"when hours are gone", "01-05T13:10", "01-07T05:00", false, "process_1d 05T00:00-07T00:00, process_1h 07T00:00-07T05:00"},
		{"the future", "05-20T15:30", "05-21T15:40", false, "process_samples 20T15:00-21T15:40"},
	} {
		t.Run(test.name, func(t *testing.T) {
			parse := func(text string) time.Time {
				at, err := time.Parse("2006-01-02T15:04", "2026-"+text)
				if err != nil {
					t.Fatal(err)
				}
				return at
			}
			got := planWindow(parse(test.from), parse(test.to), now.Truncate(time.Hour), now, keep, test.exact)
			var parts []string
			for _, one := range got.segments {
				parts = append(
					parts,
					fmt.Sprintf("%s %s-%s", one.relation, one.from.Format("02T15:04"), one.to.Format("02T15:04")),
				)
			}
			if text := strings.Join(parts, ", "); text != test.want {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
			for i := 1; i < len(got.segments); i++ {
				if !got.segments[i-1].to.Equal(got.segments[i].from) {
					t.Error("the segments do not touch")
				}
			}
		})
	}
}

func TestFitInterval(t *testing.T) {
	for _, test := range []struct {
		bytes int64
		age   time.Duration
		limit int64
		want  time.Duration
	}{
		{1 << 20, time.Hour, 1 << 30, 24 * time.Hour},
		{1 << 30, 12 * time.Hour, 1 << 30, 12 * time.Hour},
		{1 << 30, time.Hour, 4 << 30, 3 * time.Hour},
		{100 << 30, time.Hour, 1 << 30, time.Hour},
	} {
		if got := fitInterval(test.bytes, test.age, test.limit); got != test.want {
			t.Errorf("%d in %s below %d: %s, want %s", test.bytes, test.age, test.limit, got, test.want)
		}
	}
}

func TestLikeMatch(t *testing.T) {
	for _, test := range []struct {
		command, text string
		want          bool
	}{
		{"nginx", "/usr/sbin/NGINX -g daemon", true},
		{"nginx", "/usr/sbin/apache", false},
		{"/usr/*/nginx*", "/usr/sbin/nginx -g", true},
		{"*nginx", "/usr/sbin/nginx -g", false},
		{"?inx*", "nginx", false},
		{"?ginx", "nginx", true},
		{"100%", "at 100% of it", true},
		{"100%", "at 100 of it", false},
		{`a\b_c`, `x a\b_c y`, true},
		{`a\b_c`, `x a\bXc y`, false},
		{"*a*a*a*a*a*a*a*a*b", strings.Repeat("a", 5000), false},
		{"", "anything", true},
	} {
		match := Match{Command: test.command}.matcher()
		if got := match(&snapshot.Identity{CommandLine: test.text}); got != test.want {
			t.Errorf("%q in %q: %v, want %v", test.command, test.text, got, test.want)
		}
	}
}

func TestWavesAreOfOneAge(t *testing.T) {
	now := snapshot.TimeOf(time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC))
	batch := func(machineID string, age time.Duration) *snapshot.Batch {
		return &snapshot.Batch{MachineID: machineID, Snapshots: []snapshot.Snapshot{{Timestamp: now.Add(-age)}}}
	}
	group := []*snapshot.Batch{
		batch("a", time.Minute),
		batch("b", 26*time.Hour),
		batch("c", time.Hour),
		batch("b", time.Second),
		batch("d", 26*time.Hour+time.Minute),
		batch("e", 50*time.Hour),
	}
	pending := []int{0, 1, 2, 3, 4, 5}
	var waves []string
	for len(pending) > 0 {
		var wave []int
		wave, pending = nextWave(group, pending, now)
		waves = append(waves, fmt.Sprint(wave))
	}
	if got := strings.Join(waves, " "); got != "[0 2] [1] [3] [4] [5]" {
		t.Errorf("waves %s", got) // b's second batch must not pass its first; d's hour is another than b's
	}
}

func TestDetectVersions(t *testing.T) {
	for version, want := range map[string]bool{"2.18.0": true, "2.23.0-dev": true, "3.0.1": true, "2.17.2": false, "1.99.0": false, "nonsense": false} {
		if recentEnough(version) != want {
			t.Errorf("%s: %v", version, !want)
		}
	}
}

// Of a machine two chains are kept, those put last; each is given away once.
func TestChainCacheKeepsALateChain(t *testing.T) {
	t.Parallel()
	c := newChainCache(100)
	end := func(ts snapshot.Time) *chain {
		return &chain{ts: ts, processes: map[snapshot.ProcessKey]running{{PID: 1}: {}}}
	}
	for _, ts := range []snapshot.Time{10, 5, 20} {
		c.put(1, end(ts))
	}
	c.put(2, end(5))
	if c.take(1, 10) != nil {
		t.Error("a third chain was kept")
	}
	if c.take(1, 5) == nil || c.take(1, 5) != nil || c.take(1, 20) == nil || c.take(2, 20) != nil {
		t.Error("a chain is not given away just once, to its machine")
	}
	c.put(1, end(7))
	c.dropBefore(6)
	if c.take(2, 5) != nil || c.take(1, 7) == nil || c.held != 0 || c.order.Len() != 0 || len(c.byMachine) != 0 {
		t.Errorf("%d held, %d in order, %d machines", c.held, c.order.Len(), len(c.byMachine))
	}
}
