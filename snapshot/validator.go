package snapshot

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// validator checks fields and keeps the first error.
type validator struct {
	machineID string
	snapshot  int    // index of the snapshot in the batch, or -1
	prefix    string // path of the object that is being checked, for example "snapshots[0]."
	err       *ValidationError
}

// result returns the first error. It is a nil interface if there is none.
func (v *validator) result() error {
	if v.err != nil {
		return v.err
	}
	return nil
}

// fail records an error of a field, unless there is one already.
func (v *validator) fail(field, format string, args ...any) {
	if v.err == nil {
		v.err = &ValidationError{
			Code:          CodeInvalidField,
			MachineID:     v.machineID,
			SnapshotIndex: v.snapshot,
			Field:         v.prefix + field,
			Reason:        fmt.Sprintf(format, args...),
		}
	}
}

// CheckMachineID returns a *ValidationError unless id is a valid machine id. The ids . and .. are not, because they
// cannot be part of a URL's path.
func CheckMachineID(id string) error {
	v := validator{machineID: id, snapshot: -1}
	v.validMachineID(id)
	return v.result()
}

func (v *validator) validMachineID(id string) {
	if id == "" {
		v.fail("machine_id", "is required")
	}
	if len(id) > MaxMachineIDBytes {
		v.machineID = ""
		v.fail("machine_id", "must be at most %d bytes long", MaxMachineIDBytes)
	}
	for _, r := range id {
		if !strings.ContainsRune("._:-", r) &&
			(r > 'z' || (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')) {
			v.machineID = ""
			v.fail("machine_id", "must contain only the characters A-Z a-z 0-9 . _ : -")
		}
	}
	if id == "." || id == ".." {
		v.fail("machine_id", "must not be . or .., which cannot be part of a URL's path")
	}
}

func (v *validator) sourceID(field, id string) {
	if len(id) > MaxSourceIDBytes {
		v.fail(field, "is %d bytes long; at most %d are allowed", len(id), MaxSourceIDBytes)
	}
	for _, r := range id {
		if r != '-' && (r > 'z' || (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')) {
			v.fail(field, "must contain only the characters A-Z a-z 0-9 -")
		}
	}
}

func (v *validator) count(field string, n, limit int) {
	if n > limit {
		v.fail(field, "has %d entries; at most %d are allowed", n, limit)
	}
}

func (v *validator) required(field, s string, limit int) {
	if s == "" {
		v.fail(field, "is required")
	}
	v.text(field, s, limit)
}

func (v *validator) once(field, key string, seen map[string]bool) {
	if seen[key] {
		v.fail(field, "is listed twice")
	}
	seen[key] = true
}

func (v *validator) text(field, s string, limit int) {
	if len(s) > limit {
		v.fail(field, "is %d bytes long; at most %d are allowed", len(s), limit)
	}
	if strings.IndexByte(s, 0) >= 0 {
		v.fail(field, "must not contain a NUL character")
	}
	if !utf8.ValidString(s) {
		v.fail(field, "must be valid UTF-8")
	}
}

func (v *validator) integer(field string, n *int64) { v.integerUpTo(field, n, MaxSafeInteger) }

func (v *validator) integerUpTo(field string, n *int64, limit int64) {
	if n != nil && (*n < 0 || *n > limit) {
		v.fail(field, "must be from 0 to %d", limit)
	}
}

func (v *validator) cpuTime(field string, t *CPUTime) {
	if t != nil && (*t < 0 || *t > MaxCPUTime) {
		v.fail(field, "must be from 0 to %s", MaxCPUTime.AppendMilliseconds(nil))
	}
}

func (v *validator) number(field string, x *float64, limit float64) {
	if x != nil && (math.IsNaN(*x) || *x < 0 || *x > limit) {
		v.fail(field, "must be from 0 to %v", limit)
	}
}
