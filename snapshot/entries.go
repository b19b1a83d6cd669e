package snapshot

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// DecodedEntryBytes is what one entry of a batch takes in memory once it is decoded, as an
// upper bound besides its texts: a process, an exit or a device may be two bytes of
// JSON and is a structure of many fields.
const DecodedEntryBytes = 320

// CountEntries bounds from above how many entries the arrays of a batch's JSON have,
// without decoding it: each is an object or null. It returns a *ValidationError if there are
// more than a batch may have.
func CountEntries(body []byte) (int, error) {
	n := bytes.Count(body, []byte("{")) + bytes.Count(body, []byte("null"))
	if n <= MaxEntries {
		return n, nil
	}
	// Texts may be full of braces: count exactly. What is no JSON is for the decoder
	// to tell, which stops there too.
	exact := countElements(body)
	if exact > MaxEntries {
		return exact, &ValidationError{
			SnapshotIndex: -1,
			Code:          CodeTooMany,
			Limit:         MaxEntries,
			Reason:        "there are more than the allowed number of processes, exits and devices in one batch; split it",
		}
	}
	return exact, nil
}

// countElements counts the elements of all arrays, up to the end, to what is no JSON,
// or to the first that is too many.
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
		if kind == '{' || kind == '[' { // it is an element of what is around it
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
