package snapshot

import "errors"

// What a reader may find missing.
var (
	ErrNoMachine  = errors.New("no such machine")
	ErrNoSnapshot = errors.New("no snapshot at or before that time")
)

// Code names a kind of fault, for programs.
type Code string

// The codes. An agent acts on them: after CodeFullNeeded and CodeOutOfOrder it
// sends a full snapshot next; the others mean that the snapshot itself is bad.
const (
	CodeMalformed    Code = "malformed_json"
	CodeInvalidField Code = "invalid_field"
	CodeInFuture     Code = "timestamp_in_future"
	CodeTooOld       Code = "timestamp_too_old"
	CodeFullNeeded   Code = "full_snapshot_needed"
	CodeOutOfOrder   Code = "out_of_order"
	CodeTooMany      Code = "too_many_entries"
)

// ValidationError says what is wrong with a batch, and where. Nothing of a batch with a
// fault is stored.
type ValidationError struct {
	Code          Code
	MachineID     string
	SnapshotIndex int    // index in the batch, -1 if the batch itself is wrong
	Field         string // path from the body's root, for example snapshots[0].processes[3].pid
	Reason        string // what is wrong and what the limit is
	Limit         int64  // the limit that is passed, where it is one
	// Timestamp and ServerTime are the two clocks, where the fault lies in them.
	Timestamp  Time
	ServerTime Time
}

// Error returns the field and what is wrong with it.
func (f *ValidationError) Error() string {
	if f.Field == "" {
		return f.Reason
	}
	return f.Field + ": " + f.Reason
}
