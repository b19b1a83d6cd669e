package snapshot

import (
	"fmt"
	"strings"
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

// ParseTime parses an RFC 3339 time and truncates it to the millisecond. T and Z may be lower-case. It refuses leap
// seconds, which Time cannot represent.
func ParseTime(s string) (Time, error) {
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(s))
	// time.Parse accepts hours of one digit and fractions with a comma.
	isStrict := len(s) > 13 && s[13] == ':' && !strings.Contains(s, ",")
	if _, offset := t.Zone(); err != nil || !isStrict || offset <= -24*60*60 || offset >= 24*60*60 {
		return 0, fmt.Errorf("%q is not an RFC 3339 time such as 2026-11-23T03:12:00.123Z", clip(s, 64))
	}
	return Time(t.UnixMilli()), nil
}

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
	parsed, err := ParseTime(string(b))
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
