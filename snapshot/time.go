package snapshot

import (
	"bytes"
	"fmt"
	"time"
)

// Time is an instant in milliseconds since the Unix epoch, in UTC. JSON and the database have the same
// precision, so equal instants compare equal and Time can be a map key. The zero Time means unknown.
type Time int64

// timeLayout is the text form of a Time: RFC 3339, UTC, always three decimals.
const timeLayout = "2006-01-02T15:04:05.000Z"

// TimeOf returns t truncated to the millisecond. It returns 0 for the zero time.Time.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMilli())
}

// ParseTime parses an RFC 3339 time and truncates it to the millisecond. T and Z may be lower-case. Time cannot
// represent leap seconds: the second 60 of a minute becomes the first one of the next minute. Whether a leap second was
// inserted in that minute is not checked.
func ParseTime(s string) (Time, error) { return parseTime([]byte(s)) }

func parseTime(text []byte) (Time, error) {
	if !hasTimeForm(text) {
		return 0, timeError(text)
	}
	isLeap := text[17] == '6' && text[18] == '0'
	standard := text
	if isLeap || text[10] == 't' || text[len(text)-1] == 'z' {
		standard = bytes.ToUpper(text)
		if isLeap {
			standard[17], standard[18] = '5', '9'
		}
	}
	var t time.Time
	if err := t.UnmarshalText(standard); err != nil {
		return 0, timeError(text)
	}
	if isLeap {
		t = t.Add(time.Second)
	}
	return Time(t.UnixMilli()), nil
}

func timeError(text []byte) error {
	return fmt.Errorf("%q is not an RFC 3339 time such as 2026-11-23T03:12:00.123Z", clip(string(text), 64))
}

// hasTimeForm reports whether text has the form of an RFC 3339 time. Package time accepts more than that, such as hours
// of one digit, fractions with a comma and offsets of 24 hours. It checks the ranges of the other numbers.
func hasTimeForm(text []byte) bool {
	const form = "dddd-dd-ddTdd:dd:dd" // d is a digit
	if len(text) < len(form)+1 || !matchesForm(text[:len(form)], form) {
		return false
	}
	rest := text[len(form):]
	if rest[0] == '.' {
		digits := 1
		for digits < len(rest) && isDigit(rest[digits]) {
			digits++
		}
		if digits == 1 {
			return false
		}
		rest = rest[digits:]
	}
	switch {
	case len(rest) == 1:
		return rest[0]|0x20 == 'z'
	case len(rest) == len("+hh:mm") && (rest[0] == '+' || rest[0] == '-'):
		return matchesForm(rest[1:], "dd:dd") && string(rest[1:3]) <= "23" && string(rest[4:]) <= "59"
	}
	return false
}

// matchesForm reports whether text has a digit for each d of a form of the same length, and the other characters of the
// form. A T may be lower-case.
func matchesForm(text []byte, form string) bool {
	for i := range text {
		switch want := form[i]; {
		case want == 'd':
			if !isDigit(text[i]) {
				return false
			}
		case text[i] != want && (want != 'T' || text[i] != 't'):
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// Std returns t as a time.Time in UTC.
func (t Time) Std() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Add returns t plus d.
func (t Time) Add(d time.Duration) Time { return t + Time(d.Milliseconds()) }

// Sub returns t - u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t-u) * time.Millisecond }

// String returns the RFC 3339 form.
func (t Time) String() string { return t.Std().Format(timeLayout) }

// MarshalText returns the RFC 3339 form.
func (t Time) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// AppendText appends the RFC 3339 form to b.
func (t Time) AppendText(b []byte) ([]byte, error) { return t.Std().AppendFormat(b, timeLayout), nil }

// UnmarshalText parses the RFC 3339 form.
func (t *Time) UnmarshalText(b []byte) error {
	parsed, err := parseTime(b)
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// clip shortens s to n bytes for use in an error message.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
