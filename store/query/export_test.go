package query

import "github.com/snapwatch/snapwatch/store/schema"

// Statements whose plans are tested.
var (
	RangeSQL   = rangeSQL
	AtSQL      = atSQL
	AfterSQL   = afterSQL
	SamplesSQL = samplesSQL
	DisksSQL   = schema.Disks.SelectSQL
	NetsSQL    = schema.Interfaces.SelectSQL
)
