package api

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
)

func wantProblem(t *testing.T, err error) {
	t.Helper()
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok || p.Status < 400 || p.Status >= 500 || p.Field == "" {
		t.Errorf("%v is not a client error that names its field", err)
	}
}

// FuzzCursor checks that decodeCursor refuses or decodes any text, and that it reverses encodeCursor.
func FuzzCursor(f *testing.F) {
	f.Add("", "machines", "host", "id")
	f.Add(*encodeCursor("machines", "host", "id"), "machines", "a\x00b", "\xff")
	f.Fuzz(func(t *testing.T, text, list, a, b string) {
		var x, y string
		if err := decodeCursor(text, list, &x, &y); err != nil {
			wantProblem(t, err)
		} else if !utf8.ValidString(x) || !utf8.ValidString(y) {
			t.Errorf("the database would refuse %q or %q", x, y)
		}
		if slices.ContainsFunc(
			[]string{list, a, b}, func(s string) bool { return strings.Contains(s, "\x00") || !utf8.ValidString(s) },
		) {
			return // names have neither
		}
		if err := decodeCursor(*encodeCursor(list, a, b), list, &x, &y); err != nil || x != a || y != b {
			t.Errorf("%q, %q became %q, %q (%v)", a, b, x, y, err)
		}
	})
}

// FuzzWindow checks that parse refuses any query, or returns a window that is not empty and at most ten years long.
func FuzzWindow(f *testing.F) {
	for _, seed := range [][3]string{
		{"1h", "", ""},
		{"", "2026-11-23T03:12:00Z", "2026-11-23T04:12:00.5+01:00"},
		{"9999999999999w", "", ""},
		{"-1h", "", ""},
		{"", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"},
		{"1.5h", "x", "y"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	now := time.Date(2026, 11, 24, 5, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, since, from, to string) {
		begin, end, err := (&TimeWindow{Since: since, From: timeText(from), To: timeText(to)}).parse(now)
		if err != nil {
			wantProblem(t, err)
			return
		}
		if begin >= end || end.Sub(begin) > maxWindow {
			t.Errorf("since %q from %q to %q is %s to %s", since, from, to, begin, end)
		}
		for _, at := range []snapshot.Time{begin, end} {
			if at.String() == "" {
				t.Errorf("%d has no text", at)
			}
		}
	})
}
