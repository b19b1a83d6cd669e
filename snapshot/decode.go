package snapshot

import (
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// DecodeBatch reads and validates the JSON body of a post. Every error is a
// *ValidationError. Fields it does not know are ignored: a newer agent may send them.
func DecodeBatch(body []byte) (*Batch, error) {
	var batch Batch
	if err := json.Unmarshal(body, &batch); err != nil {
		return nil, decodeError(err, batch.MachineID)
	}
	if err := batch.Validate(); err != nil {
		return nil, err
	}
	return &batch, nil
}

// EncodeBatch writes the JSON body of a post.
func EncodeBatch(b *Batch) ([]byte, error) {
	return json.Marshal(b)
}

// decodeError turns the decoder's error into one that names the field.
func decodeError(err error, machineID string) *ValidationError {
	fault := &ValidationError{
		MachineID:     clip(machineID, MaxMachineIDBytes),
		SnapshotIndex: -1,
		Code:          CodeMalformed,
		Reason:        "is not valid JSON: " + err.Error(),
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		fault.Code = CodeInvalidField
		fault.place(semantic.JSONPointer)
		fault.Reason = "must be " + describe(semantic)
		if semantic.Err != nil {
			fault.Reason += ": " + clip(semantic.Err.Error(), 200)
		}
		return fault
	}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		fault.place(syntactic.JSONPointer)
		fault.Reason = "is not valid JSON: " + clip(
			strings.TrimPrefix(syntactic.Err.Error(), "jsontext: "), 200,
		) + " at byte " + strconv.FormatInt(
			syntactic.ByteOffset, 10,
		)
	}
	return fault
}

func describe(e *json.SemanticError) string {
	if e.GoType == nil {
		return "of another type than JSON " + e.JSONKind.String()
	}
	kind := e.GoType.Kind().String()
	switch {
	case strings.HasSuffix(e.GoType.String(), "snapshot.Time"):
		return "an RFC 3339 time"
	case strings.HasPrefix(kind, "int"):
		return "a whole number that fits " + kind
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "slice":
		return "an array"
	case kind == "struct":
		return "an object"
	}
	return "a " + kind
}

// maxField bounds, in bytes, how much of a field's path is told: it may be as deep as
// its sender likes.
const maxField = 200

// place turns a JSON pointer (/snapshots/0/processes/3/pid) into the field's
// path (snapshots[0].processes[3].pid) and the snapshot's index.
func (f *ValidationError) place(pointer jsontext.Pointer) {
	var path strings.Builder
	depth := 0
	for token := range pointer.Tokens() {
		if n, err := strconv.Atoi(token); err == nil {
			path.WriteString("[" + strconv.Itoa(n) + "]")
			if depth == 1 {
				f.SnapshotIndex = n
			}
		} else {
			if path.Len() > 0 {
				path.WriteByte('.')
			}
			path.WriteString(clip(token, 64))
		}
		depth++
	}
	f.Field = clip(path.String(), maxField)
}
