package schema

import "strings"

// column maps a column of a table to a field of its row type R.
type column[R any] struct {
	name    string
	sqlType string
	// dest returns a pointer to the field, for scanning and for COPY.
	dest func(*R) any
	// array returns the column's values of all rows, for unnest.
	array func([]R) any
	// elementType is the type of array's elements if that is not sqlType. unnest flattens arrays of
	// arrays, so a column that is itself an array is passed as text.
	elementType string
	// writeOnly columns are not read into R.
	writeOnly bool
	// latest columns are part of a machine's newest values in lists of machines.
	latest bool
}

// field returns the column of a field that is written and read.
func field[R, T any](name, sqlType string, at func(*R) *T) column[R] {
	return column[R]{name: name, sqlType: sqlType,
		dest:  func(row *R) any { return at(row) },
		array: func(rows []R) any { return collect(rows, func(row *R) T { return *at(row) }) }}
}

// written returns a column that is computed when it is written, and not read back.
func written[R, T any](name, sqlType string, value func(*R) T) column[R] {
	return column[R]{name: name, sqlType: sqlType, writeOnly: true,
		array: func(rows []R) any { return collect(rows, value) }}
}

// encoded returns a column that is written as text and read into a field.
func encoded[R, T any](name, sqlType string, text func(*R) *string, at func(*R) *T) column[R] {
	return column[R]{name: name, sqlType: sqlType, elementType: "text",
		dest:  func(row *R) any { return at(row) },
		array: func(rows []R) any { return collect(rows, text) }}
}

func collect[R, T any](rows []R, value func(*R) T) []T {
	values := make([]T, len(rows))
	for i := range rows {
		values[i] = value(&rows[i])
	}
	return values
}

// columnList returns the names of the columns that keep selects, with a prefix before each.
func columnList[R any](columns []column[R], prefix string, keep func(column[R]) bool) string {
	var names []string
	for _, c := range columns {
		if keep(c) {
			names = append(names, prefix+c.name)
		}
	}
	return strings.Join(names, ", ")
}

// destinations returns pointers to the fields of the columns that keep selects.
func destinations[R any](columns []column[R], row *R, keep func(column[R]) bool) []any {
	dest := make([]any, 0, len(columns))
	for _, c := range columns {
		if keep(c) {
			dest = append(dest, c.dest(row))
		}
	}
	return dest
}

func all[R any](column[R]) bool        { return true }
func readable[R any](c column[R]) bool { return !c.writeOnly }
func isLatest[R any](c column[R]) bool { return c.latest }
