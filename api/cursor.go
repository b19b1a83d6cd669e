package api

import (
	"encoding/base64"
	"strings"
)

// encodeCursor packs where a list goes on: opaque to callers, and bound to its list.
func encodeCursor(list string, parts ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + "\x00" + strings.Join(parts, "\x00")))
}

// decodeCursor unpacks a cursor into as many parts as are asked for.
func decodeCursor(cursor, list string, parts ...*string) error {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	fields := strings.Split(string(text), "\x00")
	if err != nil || len(fields) != len(parts)+1 || fields[0] != list {
		return invalid("cursor", "is not a next_cursor of this list")
	}
	for i := range parts {
		*parts[i] = strings.ToValidUTF8(fields[i+1], "")
	}
	return nil
}
