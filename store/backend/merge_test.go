package backend

import "testing"

// An hour is merged into as few rows as possible, unless it has too many processes, or few rows.
func TestMergedParts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ rows, processes, want int64 }{
		{720, 720, 1}, {720, 1000, 1}, {720, 1001, 2}, {720, 3600, 4}, {720, 4001, 6}, {720, 60_000, 60},
		{720, 60_001, 0}, {2, 2, 1}, {1, 1, 0}, {4, 3600, 0}, {5, 3600, 4}, {60, 60_000, 0},
	} {
		hour := unmerged{rows: test.rows, processes: test.processes}
		if got := hour.parts(); got != test.want {
			t.Errorf("%d rows with %d processes become %d, want %d", test.rows, test.processes, got, test.want)
		}
	}
}
