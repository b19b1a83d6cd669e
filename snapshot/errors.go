package snapshot

import "errors"

// Errors of reads.
var (
	ErrNoMachine  = errors.New("no such machine")
	ErrNoSnapshot = errors.New("no snapshot at or before that time")
)

// Code identifies a kind of ValidationError for programs.
type Code string

// The codes of a ValidationError. After CodeFullNeeded and CodeOutOfOrder an agent sends a full snapshot.
// After the others it does not send the same snapshot again.
const (
	CodeMalformed    Code = "malformed_json"
	CodeInvalidField Code = "invalid_field"
	CodeInFuture     Code = "timestamp_in_future"
	CodeTooOld       Code = "timestamp_too_old"
	CodeFullNeeded   Code = "full_snapshot_needed"
	CodeOutOfOrder   Code = "out_of_order"
	CodeTooMany      Code = "too_many_entries"
)

// ValidationError describes why a batch is rejected. Nothing of a rejected batch is stored.
type ValidationError struct {
	Code          Code
	MachineID     string
	SnapshotIndex int    // index in the batch, or -1 if the error is not in a snapshot
	Field         string // path from the body's root, for example snapshots[0].processes[3].pid
	Reason        string // what is wrong with the field, and the limit
	Limit         int64  // the exceeded limit, or 0
	// Timestamp is that of the snapshot and ServerTime the server's clock, if they are the reason.
	Timestamp  Time
	ServerTime Time
}

// Error returns the field and the reason.
func (e *ValidationError) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return e.Field + ": " + e.Reason
}
