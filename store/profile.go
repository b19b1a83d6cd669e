package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// The storage profiles.
const (
	ProfilePostgres  = "postgres"
	ProfileTimescale = "timescale"
)

// profile is what differs between the ways to store the series and their
// rollups. The names and columns of the relations that are read do not.
type profile interface {
	// name is that of the profile's folder in migrations.
	name() string
	// ensure makes room for rows of the given days (midnights, UTC).
	ensure(ctx context.Context, days []time.Time) error
	// reset forgets what is cached about the room there is, so that ensure looks again.
	reset()
	// ahead makes room for the days to come and returns for how many there is.
	ahead(ctx context.Context, now time.Time) (days int, err error)
	// mark notes, in the writer's transaction, which hours of which machines have
	// new rows: machines[i] in hours[i], each pair once.
	mark(ctx context.Context, tx pgx.Tx, machines []int32, hours []time.Time) error
	// refresh brings rollups up to date, as far as the database does not do so by itself.
	refresh(ctx context.Context, now time.Time) error
	// rolledUntil returns the hour from which on process_1h is not made yet and costs
	// as much to read as the rows below it: of a machine, or with 0 of all.
	rolledUntil(ctx context.Context, machine int32, now time.Time) (time.Time, error)
	// behind returns how long ago the oldest hour ended whose rollups are due and not made; 0 for none.
	behind(ctx context.Context, now time.Time) (time.Duration, error)
	// configure tells the database what is to be kept for how long.
	configure(ctx context.Context, keep Retention, now time.Time) error
	// dropBefore drops whole units of a relation that end at or before cutoff.
	dropBefore(ctx context.Context, relation string, cutoff time.Time) (dropped int, err error)
	// oldest returns the begin and the end of the oldest unit of a relation, zero if there is none.
	oldest(ctx context.Context, relation string) (from, to time.Time, err error)
	// sizes tells what the series and rollups take.
	sizes(ctx context.Context) ([]RelationSize, error)
	// removeRollups removes a deleted machine's rows of the rollups, where that is not done by itself.
	removeRollups(ctx context.Context, machine int32) error
}

// series lists the relations that grow with time.
var series = []string{"snapshots", "process_samples", "disk_samples", "net_samples"}

// rollups lists the relations made of the series, the finer before those made of them.
var rollups = []string{"machine_1m", "machine_1h", "process_1h", "machine_3h", "process_3h", "machine_1d", "process_1d"}
