package query

import (
	"math"
	"testing"

	"github.com/snapwatch/snapwatch/store/backend"
)

// The retention of short-lived processes is shorter than that of samples. The forecast has those of a day, and a budget
// those of their retention.
func TestForecastOfShortLived(t *testing.T) {
	for name, c := range map[string]struct {
		compression, share float64
		budget, perDay     int64
		days               float64
	}{
		"within their retention":      {0, 0.25, 4000, 10*3 + 2000/4 + 1000/10, 3000.0 / (500 + 30)},
		"longer than their retention": {0, 0.25, 10_000, 10*3 + 2000/4 + 1000/10, (9000 - 7*500) / 30.0},
		"their last day is all":       {0, 1, 1000 + 7*2030, 30 + 2000 + 100, 7},
		"compressed":                  {10, 0.25, 0, 3 + 50 + 100, 0},
		"none":                        {0, 0, 4000, 10*3 + 1000/10, 100},
		"no room":                     {0, 0.25, 500, 10*3 + 2000/4 + 1000/10, 0},
	} {
		st := Storage{
			Relations: []backend.RelationSize{
				{Relation: "process_samples", Bytes: 300}, {Relation: "processes", Bytes: 1000},
				{Relation: backend.ShortLived, Bytes: 2000},
			},
			Compression: c.compression, ProcessSamples: 1000, SamplesPerDay: 100,
			Retention: backend.Retention{RawDays: 30, ExitsDays: 7, BudgetBytes: c.budget},
		}
		st.forecast(c.share)
		if *st.BytesPerDay != c.perDay {
			t.Errorf("%s: %d bytes a day, want %d", name, *st.BytesPerDay, c.perDay)
		}
		switch {
		case c.budget == 0:
			if st.BudgetDays != nil {
				t.Errorf("%s: %f days", name, *st.BudgetDays)
			}
		case math.Abs(*st.BudgetDays-c.days) > 1e-9:
			t.Errorf("%s: %f days fit into the budget, want %f", name, *st.BudgetDays, c.days)
		}
	}
}
