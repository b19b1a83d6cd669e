package query

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// FileSystem is a disk of a machine in its latest snapshot.
type FileSystem struct {
	MachineID string
	snapshot.Disk
	// Listed is the number of the machine's disks that could be returned.
	Listed int64
}

// FileSystems returns the disks in the latest snapshots of machines. Those that did not answer are left out, because
// their values are not current. It returns at most limit disks of each machine, those with the smallest share of
// available space first.
func (q *Queries) FileSystems(ctx context.Context, machineIDs []string, limit int) ([]FileSystem, error) {
	defer q.observe("file_systems", time.Now())
	rows, err := q.pool.Query(ctx, `SELECT m.machine_id, d.mount, d.device, coalesce(d.fs_type, ''), coalesce(d.read_only, false),
			d.total, d.used, coalesce(d.available, d.total - d.used), d.listed
		FROM machines m CROSS JOIN LATERAL (
			SELECT x.*, count(*) OVER () AS listed
			FROM snapshots s JOIN disk_samples x ON x.machine = s.machine AND x.ts = s.ts
			WHERE s.machine = m.id AND s.ts = m.last_snapshot AND x.total IS NOT NULL AND x.used IS NOT NULL
				AND (x.mount = ANY(s.stale)) IS NOT TRUE
			ORDER BY coalesce(x.available, x.total - x.used)::double precision
				/ nullif(x.used + coalesce(x.available, x.total - x.used), 0), x.mount LIMIT $2) d
		WHERE m.machine_id = ANY($1)`, machineIDs, limit)
	if err != nil {
		return nil, fmt.Errorf("read file systems: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f FileSystem, err error) {
		err = row.Scan(&f.MachineID, &f.Mount, &f.Device, &f.Type, &f.ReadOnly, &f.Total, &f.Used, &f.Available,
			&f.Listed)
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("read file systems: %w", err)
	}
	return list, nil
}
