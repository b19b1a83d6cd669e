// Package schema describes the tables of the series: their columns, in one place for the writer and
// the queries, and how a row is encoded and scanned.
//
// To store another value of a machine, add a line to snapshotColumns and a migration.
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

// HourOf returns the hours since 1970, as in process_samples.hour.
func HourOf(t snapshot.Time) int32 { return int32(int64(t) / 3_600_000) }
