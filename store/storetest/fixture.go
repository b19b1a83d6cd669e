package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/schema"
)

// Recent returns the second second of an hour that is well within retention: a snapshot exactly on the hour belongs to
// the hour before. It is the same for the whole run.
var Recent = sync.OnceValue(func() snapshot.Time {
	return snapshot.TimeOf(time.Now().Add(-time.Hour).Truncate(time.Hour).Add(time.Second))
})

// Write stores snapshots of a machine and fails the test if they are refused.
func Write(t testing.TB, s *store.Store, machineID string, snapshots ...snapshot.Snapshot) snapshot.Ack {
	t.Helper()
	outcome := s.Write(context.Background(), []*snapshot.Batch{{MachineID: machineID, Snapshots: snapshots}})[0]
	if outcome.Err != nil {
		t.Fatalf("write: %v", outcome.Err)
	}
	return outcome.Ack
}

// ListedOpenFiles are the open files that WithOpenFiles sets.
const ListedOpenFiles = 7777

// WithOpenFiles returns snapshots in which all processes that ended have a number of open files: ListedOpenFiles for
// those without one. The series of short-lived processes does not have that value, so they are stored as the processes
// of lists.
func WithOpenFiles(snapshots []snapshot.Snapshot) []snapshot.Snapshot {
	listed := slices.Clone(snapshots)
	for i := range listed {
		listed[i].Processes = slices.Clone(listed[i].Processes)
		for k := range listed[i].Processes {
			if p := &listed[i].Processes[k]; p.Ended() && p.OpenFiles == nil {
				p.OpenFiles = new(int32(ListedOpenFiles))
			}
		}
	}
	return listed
}

// RefreshAll brings all rollups up to date, regardless of the profile's schedule.
func RefreshAll(t *testing.T, db Database, s *store.Store) {
	t.Helper()
	if err := s.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if db.Detection.Profile != backend.Timescale {
		return
	}
	conn := Connect(t, db.URL)
	for _, relation := range backend.Rollups {
		if _, err := conn.Exec(t.Context(), fmt.Sprintf(`CALL refresh_continuous_aggregate('%s_cagg', NULL, date_bin('1 day', now(), '2000-01-01 00:00:00+00'))`, relation)); err != nil {
			t.Fatal(err)
		}
	}
}

// TableOf returns the table, hypertable or continuous aggregate of a relation.
func TableOf(profile, relation string) string {
	isPostgres := profile == backend.Postgres
	switch {
	case relation == backend.ShortLived && isPostgres:
		return schema.ShortLivedBatches.Name
	case relation == backend.ShortLived:
		return schema.ShortLivedRows.Name
	case relation == backend.ShortLivedMinutes:
		return schema.ShortLivedMinutes
	case slices.Contains(backend.Rollups, relation) && isPostgres:
		return relation + "_done"
	case slices.Contains(backend.Rollups, relation):
		return relation + "_cagg"
	}
	return relation
}

// CompressAll compresses all chunks of a timescale database.
func CompressAll(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for _, relation := range slices.Concat(backend.Series, backend.Rollups) {
		relation = TableOf(backend.Timescale, relation)
		if _, err := conn.Exec(t.Context(), fmt.Sprintf(`SELECT compress_chunk(c, true) FROM show_chunks('%s') c`, relation)); err != nil {
			t.Fatalf("compress %s: %v", relation, err)
		}
	}
	var compressed int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM timescaledb_information.chunks WHERE is_compressed AND hypertable_name = 'process_samples'`).Scan(&compressed); err != nil ||
		compressed == 0 {
		t.Fatalf("%d compressed chunks, %v", compressed, err)
	}
}
