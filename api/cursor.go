package api

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// encodeCursor returns the position in a list as an opaque text that is only valid for that list.
func encodeCursor(list string, parts ...string) *string {
	cursor := base64.RawURLEncoding.EncodeToString([]byte(list + "\x00" + strings.Join(parts, "\x00")))
	return &cursor
}

// decodeCursor decodes a cursor into the given number of parts. It returns a problem for an invalid cursor.
func decodeCursor(cursor, list string, parts ...*string) error {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	fields := strings.Split(string(text), "\x00")
	if err != nil || len(fields) != len(parts)+1 || fields[0] != list {
		return invalidCursor()
	}
	for i := range parts {
		*parts[i] = strings.ToValidUTF8(fields[i+1], "")
	}
	return nil
}

func invalidCursor() error {
	return invalidField("cursor", "must be a next_cursor of this list")
}

// encodeInts is encodeCursor for integers.
func encodeInts(list string, parts ...int64) *string {
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = strconv.FormatInt(part, 10)
	}
	return encodeCursor(list, texts...)
}

// decodeInts is decodeCursor for integers.
func decodeInts(cursor, list string, parts ...*int64) error {
	texts, pointers := make([]string, len(parts)), make([]*string, len(parts))
	for i := range texts {
		pointers[i] = &texts[i]
	}
	if err := decodeCursor(cursor, list, pointers...); err != nil {
		return err
	}
	for i, text := range texts {
		var err error
		if *parts[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return invalidCursor()
		}
	}
	return nil
}

// pageByID returns the first limit rows of a query that asked for limit+1, and the cursor of the next page if there is
// one.
func pageByID[T any](list string, rows []T, limit int, id func(*T) int64) ([]T, *string) {
	if len(rows) <= limit {
		return rows, nil
	}
	return rows[:limit], encodeInts(list, id(&rows[limit-1]))
}

// views converts rows into their representation in a response. The result is never nil, because lists in responses are
// never null.
func views[Row, View any](rows []Row, view func(*Row) View) []View {
	list := make([]View, len(rows))
	for i := range rows {
		list[i] = view(&rows[i])
	}
	return list
}

// notNil returns the list, or an empty list for nil.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
