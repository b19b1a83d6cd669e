package query

// Statements whose plans are tested.
const (
	RangeSQL   = rangeSQL
	AtSQL      = atSQL
	AfterSQL   = afterSQL
	SamplesSQL = samplesSQL
	DisksSQL   = disksSQL
	NetsSQL    = netsSQL
)
