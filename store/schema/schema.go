// Package schema lists the columns of snapshots, process samples and device samples. The writer and the queries use
// the same lists. The package also encodes rows for writing and scans rows that were read.
//
// To store another system metric, add a line to snapshotColumns and write a migration.
package schema

import (
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// NullTime returns t as a nullable timestamp, nil for 0.
func NullTime(t snapshot.Time) *time.Time {
	if t == 0 {
		return nil
	}
	std := t.Std()
	return &std
}

// HourOf returns the hour of a sample in hours since 1970, as in process_samples.hour. A sample covers the time before
// it, so one exactly on the hour belongs to the hour before.
func HourOf(t snapshot.Time) int32 { return int32((int64(t) - 1) / 3_600_000) }
