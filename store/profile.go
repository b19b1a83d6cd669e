package store

import (
	"context"
	"time"
)

// profile is what differs between the ways to store the series. The names and
// columns of the relations do not.
type profile interface {
	// name is that of the profile's folder in migrations.
	name() string
	// ensure makes room for rows of the given days (midnights, UTC).
	ensure(ctx context.Context, days []time.Time) error
	// reset forgets what is cached about the room there is, so that ensure looks again.
	reset()
	// ahead makes room for the days to come and returns for how many there is.
	ahead(ctx context.Context, now time.Time) (days int, err error)
	// dropBefore drops whole units (days) that end at or before cutoff.
	dropBefore(ctx context.Context, cutoff time.Time) (dropped int, err error)
}

// series lists the relations that grow with time.
var series = []string{"snapshots", "process_samples", "disk_samples", "net_samples"}
