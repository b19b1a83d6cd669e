package snapshot

import (
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// DecodeBatch decodes and validates the JSON body of a post. Every error is a *ValidationError. Unknown
// fields are ignored, because a newer agent may send them.
func DecodeBatch(body []byte) (*Batch, error) {
	var batch Batch
	if err := json.Unmarshal(body, &batch); err != nil {
		return nil, decodeError(err, body, batch.MachineID)
	}
	if err := batch.Validate(); err != nil {
		return nil, err
	}
	return &batch, nil
}

// EncodeBatch encodes the JSON body of a post.
func EncodeBatch(b *Batch) ([]byte, error) {
	return json.Marshal(b)
}

const (
	// maxFieldBytes is the maximum length of a field's path in an error. The JSON may be nested deeply.
	maxFieldBytes = 200
	// maxNameBytes is the maximum length of one name in the path.
	maxNameBytes = 64
	// maxCauseBytes is the maximum length of the JSON decoder's message in an error.
	maxCauseBytes = 200
)

// decodeError converts an error of the JSON decoder to one that names the field.
func decodeError(err error, body []byte, machineID string) *ValidationError {
	invalid := &ValidationError{
		MachineID:     clip(machineID, MaxMachineIDBytes),
		SnapshotIndex: -1,
		Code:          CodeMalformed,
		Reason:        "is not valid JSON: " + err.Error(),
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		invalid.Code = CodeInvalidField
		invalid.setField(semantic.JSONPointer)
		invalid.Reason = "must be " + expectedType(semantic)
		if semantic.Err != nil {
			invalid.Reason += ": " + clip(semantic.Err.Error(), maxCauseBytes)
		}
		return invalid
	}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		invalid.setField(syntactic.JSONPointer)
		if jsontext.Value(body).IsValid(jsontext.AllowInvalidUTF8(true)) {
			invalid.Code = CodeInvalidField
			invalid.Reason = "must be valid UTF-8, without unpaired surrogates"
			return invalid
		}
		cause := clip(strings.TrimPrefix(syntactic.Err.Error(), "jsontext: "), maxCauseBytes)
		invalid.Reason = "is not valid JSON: " + cause + " at byte " + strconv.FormatInt(syntactic.ByteOffset, 10)
	}
	return invalid
}

// expectedType describes the JSON type that the field must have.
func expectedType(e *json.SemanticError) string {
	if e.GoType == nil {
		return "of a different type than JSON " + e.JSONKind.String()
	}
	kind := e.GoType.Kind().String()
	switch {
	case strings.HasSuffix(e.GoType.String(), "snapshot.Time"):
		return "an RFC 3339 time"
	case e.GoType == reflect.TypeFor[CPUTime]():
		return "a number of milliseconds"
	case strings.HasPrefix(kind, "int"):
		return "an integer in the range of " + kind
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "slice":
		return "an array"
	case kind == "struct":
		return "an object"
	}
	return "a " + kind
}

// setField sets Field and SnapshotIndex from a JSON pointer. For example, /snapshots/0/processes/3/pid
// becomes snapshots[0].processes[3].pid and 0.
func (e *ValidationError) setField(pointer jsontext.Pointer) {
	var path strings.Builder
	depth := 0
	for token := range pointer.Tokens() {
		if n, err := strconv.Atoi(token); err == nil {
			path.WriteString("[" + strconv.Itoa(n) + "]")
			if depth == 1 {
				e.SnapshotIndex = n
			}
		} else {
			if path.Len() > 0 {
				path.WriteByte('.')
			}
			path.WriteString(clip(token, maxNameBytes))
		}
		depth++
	}
	e.Field = clip(path.String(), maxFieldBytes)
}
