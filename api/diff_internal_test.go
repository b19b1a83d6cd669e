package api

import (
	"math"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

// A sum that is too large for the database is math.MaxInt64. Bytes read and written are added without an overflow.
func TestDiffOfHugeAmounts(t *testing.T) {
	t.Parallel()
	largest := int64(math.MaxInt64)
	process := snapshot.Process{ProcessKey: snapshot.ProcessKey{PID: 5}}
	diff := query.Diff{Changes: []query.Change{{
		ProcessChange: snapshot.ProcessChange{Before: &process, After: &process},
		Used:          &query.Usage{ProcessKey: process.ProcessKey, ReadBytes: &largest, WriteBytes: &largest},
	}}}
	if view := machineDiff(&diff, "memory", 1000); view.Totals.Active != 1 {
		t.Errorf("%+v, want one active process", view.Totals)
	}
}
