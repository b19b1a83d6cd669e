package query

import (
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// Statements whose plans are tested.
var (
	RangeSQL   = rangeSQL
	AtSQL      = atSQL
	AfterSQL   = afterSQL
	NextSQL    = nextSQL
	SamplesSQL = samplesSQL
	DisksSQL   = schema.Disks.SelectSQL
	NetsSQL    = schema.Interfaces.SelectSQL
)

// Condition and Matcher are the two implementations of a search.
func (m Match) Condition(args *[]any) string           { return m.condition(args) }
func (m Match) Matcher() func(*snapshot.Identity) bool { return m.matcher() }
