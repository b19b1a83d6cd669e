package query_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// percentages returns a full snapshot without an interval and with usage in percent, as docs/api.md shows it.
func percentages(at snapshot.Time) snapshot.Snapshot {
	process := entry(42, "postgres", -1, 12<<20)
	process.CPUUsage = new(3.5)
	return withCPU(full(at, 0, process), 12.5)
}

// Percentages say nothing about a gap. The usual time between snapshots decides whether there is one.
func TestPercentagesDoNotCoverGaps(t *testing.T) {
	t.Parallel()
	const s, m, h = time.Second, time.Minute, time.Hour
	amounts := func(at snapshot.Time) snapshot.Snapshot { return full(at, 0, entry(42, "postgres", 700, 12<<20)) }
	idle := func(at snapshot.Time) snapshot.Snapshot {
		return withCPU(full(at, 0, entry(42, "postgres", -1, 0)), 12.5)
	}
	cases := []struct {
		name string
		make func(snapshot.Time) snapshot.Snapshot
		at   []time.Duration // of the snapshots
		want []time.Duration // their intervals
	}{
		{"every five seconds", percentages, []time.Duration{0, 5 * s, 10 * s, 20 * h, 20*h + 5*s},
			[]time.Duration{5 * s, 5 * s, 5 * s, 0, 5 * s}},
		{"every minute", percentages, []time.Duration{0, m, 2 * m, 3 * m, 9 * m, 10 * m, 11 * m, 12 * m},
			[]time.Duration{5 * s, m, m, m, 0, m, m, m}},
		{"every five minutes", percentages, []time.Duration{0, 5 * m, 10 * m, 15 * m, 2 * h, 2*h + 5*m},
			[]time.Duration{5 * s, 0, 5 * m, 5 * m, 0, 5 * m}},
		{"off after the first", percentages, []time.Duration{0, 20 * h, 20*h + 5*s},
			[]time.Duration{5 * s, 0, 5 * s}},
		{"one snapshot between gaps", percentages, []time.Duration{0, 5 * s, 2 * h, 4 * h, 6 * h},
			[]time.Duration{5 * s, 5 * s, 0, 0, 0}},
		{"only the machine's usage", idle, []time.Duration{0, 5 * s, 20 * h}, []time.Duration{5 * s, 5 * s, 0}},
		{"amounts", amounts, []time.Duration{0, 5 * s, 2 * h}, []time.Duration{5 * s, 5 * s, 2*h - 5*s}},
	}
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				var list []snapshot.Snapshot
				for _, at := range c.at {
					list = append(list, c.make(clock(1, 0, 0).Add(at)))
				}
				// In one batch, each on its own, and each after a restart.
				for how, size := range []int{len(list), 1, 1} {
					machineID := "percentages-" + string(rune('a'+i)) + string(rune('a'+how))
					writer := db.Open(t, nil)
					for k := 0; k < len(list); k += size {
						if how == 2 {
							writer = db.Open(t, nil)
						}
						storetest.Write(t, writer, machineID, list[k:k+size]...)
					}
					for k, at := range c.at {
						state, err := writer.At(t.Context(), machineID, clock(1, 0, 0).Add(at), false)
						if err != nil || state.IntervalMS != c.want[k].Milliseconds() {
							t.Errorf("%s: the interval at %s is %d ms (%v), want %s",
								machineID, at, state.IntervalMS, err, c.want[k])
						}
					}
				}
			})
		}
	})
}

// A machine that was off for 20 hours used nothing in that time, and was in a gap.
func TestGapOfPercentages(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		storetest.Write(t, s, "off", percentages(clock(1, 0, 0)), percentages(clock(1, 0, 5)))
		storetest.Write(t, s, "off", percentages(clock(21, 0, 0)), percentages(clock(21, 0, 5)))
		if used := topOf(t, s, "off", clock(20, 59, 0), clock(21, 1, 0))[42]; msOf(used.CPUTime) != 175 {
			t.Errorf("%d ms of CPU, want 175", msOf(used.CPUTime))
		}
		state, err := s.At(t.Context(), "off", clock(11, 0, 0), false)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Coverage(t.Context(), clock(11, 0, 0), state); err != nil || !got.InGap {
			t.Errorf("%+v (%v), want a gap", got, err)
		}
	})
}

// A snapshot with an unknown interval is valid as long as others of its machine.
func TestGapAfterUnknownInterval(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		unknown := func(at snapshot.Time) snapshot.Snapshot { return full(at, 0, entry(1, "init", -1, 1<<20)) }
		var crash, minutes []snapshot.Snapshot
		for second := range 10 {
			crash = append(crash, withCPU(full(clock(1, 0, 5*second), 5*time.Second, entry(1, "init", 0, 1<<20)), 25))
			minutes = append(minutes, unknown(clock(1, second, 0)))
		}
		crash = append(crash, unknown(clock(2, 0, 0)), unknown(clock(4, 0, 0)))
		storetest.Write(t, s, "crash", crash...)
		storetest.Write(t, s, "minutes", minutes...)
		storetest.Write(t, s, "alone", unknown(clock(1, 0, 0)))
		for _, test := range []struct {
			machineID string
			at        snapshot.Time
			want      bool
		}{
			{"crash", clock(2, 0, 9), false}, {"crash", clock(2, 9, 0), true}, {"crash", clock(4, 0, 12), true},
			{"minutes", clock(1, 4, 50), false}, {"minutes", clock(1, 10, 30), false},
			{"minutes", clock(1, 12, 0), true},
			{"alone", clock(1, 0, 10), false}, {"alone", clock(1, 0, 12), true},
		} {
			state, err := s.At(t.Context(), test.machineID, test.at, false)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.Coverage(t.Context(), test.at, state); err != nil || got.InGap != test.want {
				t.Errorf("%s at %s: in a gap: %t (%v), want %t", test.machineID, test.at, got.InGap, err, test.want)
			}
		}
	})
}
