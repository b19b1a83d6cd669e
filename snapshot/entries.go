package snapshot

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// DecodedEntryBytes is an upper bound of the memory that one entry of a batch (a process, an exit or a device)
// uses once it is decoded, without its texts. An entry may be only two bytes of JSON.
const DecodedEntryBytes = 320

// CountEntries returns an upper bound of the number of entries in the arrays of a batch's JSON, without
// decoding it. Each entry is an object or null. It returns a *ValidationError if there are more than
// MaxEntries.
func CountEntries(body []byte) (int, error) {
	n := bytes.Count(body, []byte("{")) + bytes.Count(body, []byte("null"))
	if n <= MaxEntries {
		return n, nil
	}
	// Texts may contain braces, so count array elements. Malformed JSON is reported by the decoder.
	exact := countElements(body)
	if exact > MaxEntries {
		return exact, &ValidationError{
			SnapshotIndex: -1,
			Code:          CodeTooMany,
			Limit:         MaxEntries,
			Reason: fmt.Sprintf("the batch has more than %d processes, exits, devices and snapshots; split it",
				MaxEntries),
		}
	}
	return exact, nil
}

// countElements counts the elements of all arrays. It stops at malformed JSON and after MaxEntries.
func countElements(body []byte) (n int) {
	decoder := jsontext.NewDecoder(
		bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true),
	)
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			return n
		}
		kind := token.Kind()
		depth := decoder.StackDepth()
		if kind == '{' || kind == '[' { // an element of the array or object around it
			depth--
		}
		if parent, _ := decoder.StackIndex(depth); parent != '[' || kind == '}' || kind == ']' {
			continue
		}
		if n++; n > MaxEntries {
			return n
		}
	}
}
