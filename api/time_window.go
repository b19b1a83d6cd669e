package api

import (
	"regexp"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
)

// maxWindow is the maximum length of a time window, ten years. No retention is longer.
const maxWindow = 3653 * 24 * time.Hour

// TimeWindow holds the query parameters of a time window.
type TimeWindow struct {
	Since string   `query:"since" maxLength:"20" example:"3h" doc:"Length of a window that ends now: a number and s, m, h, d or w. Default: 1h"`
	From  timeText `query:"from" doc:"Start of the window"`
	To    timeText `query:"to" doc:"End of the window. Default: now"`
}

// parse returns the window. A window before the first snapshot or in the future is valid and has no data.
func (w *TimeWindow) parse(now time.Time) (from, to snapshot.Time, err error) {
	if w.Since == "" && w.From == "" && w.To == "" {
		return snapshot.TimeOf(now.Add(-time.Hour)), snapshot.TimeOf(now), nil
	}
	from, to, err = w.bounds(now, snapshot.TimeOf(now))
	switch {
	case err != nil:
		return 0, 0, err
	case from >= to:
		return 0, 0, invalidField("from", "must be before to")
	case to.Sub(from) > maxWindow:
		return 0, 0, invalidField("from", "must be at most ten years before to")
	}
	return from, to, nil
}

// bounds returns the start and the end of the window, in any order. The default end is latest.
func (w *TimeWindow) bounds(now time.Time, latest snapshot.Time) (from, to snapshot.Time, err error) {
	if w.Since != "" {
		if w.From != "" || w.To != "" {
			return 0, 0, invalidField("since", "cannot be combined with from or to")
		}
		since, err := parseSince(w.Since)
		return snapshot.TimeOf(now.Add(-since)), latest, err
	}
	if w.From == "" {
		return 0, 0, invalidField("from", "is required with to")
	}
	if from, err = parseTime("from", w.From); err != nil {
		return 0, 0, err
	}
	if w.To == "" {
		return from, latest, nil
	}
	to, err = parseTime("to", w.To)
	return from, to, err
}

var sincePattern = regexp.MustCompile(`^([1-9][0-9]{0,8})(s|m|h|d|w)$`)

var sinceUnits = map[string]time.Duration{
	"s": time.Second,
	"m": time.Minute,
	"h": time.Hour,
	"d": 24 * time.Hour,
	"w": 7 * 24 * time.Hour,
}

// parseSince parses a duration such as 30m, 3h or 1d.
func parseSince(text string) (time.Duration, error) {
	match := sincePattern.FindStringSubmatch(text)
	if match == nil {
		return 0, invalidField("since", "must be a number and s, m, h, d or w, such as 30m")
	}
	n, err := strconv.Atoi(match[1])
	unit := sinceUnits[match[2]]
	if err != nil || time.Duration(n) > maxWindow/unit {
		return 0, invalidField("since", "must be at most ten years")
	}
	return time.Duration(n) * unit, nil
}

// timeText is a time in a request. huma's own check of the format date-time refuses times that RFC 3339 allows, such as
// those with a lower-case t, so only the description of the API has the format.
type timeText string

// Schema implements huma.SchemaProvider.
func (timeText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Extensions: map[string]any{"format": "date-time"}}
}

// parseTime parses a time in RFC 3339. It refuses years that PostgreSQL or JSON cannot represent.
func parseTime(field string, text timeText) (snapshot.Time, error) {
	t, err := snapshot.ParseTime(string(text))
	if err != nil {
		return 0, invalidField(field, "must be an RFC 3339 time such as 2026-11-23T03:12:00.123Z")
	}
	if year := t.Std().Year(); year < 1970 || year > 9999 {
		return 0, invalidField(field, "must be in the years 1970 to 9999")
	}
	return t, nil
}

// parseOptionalTime is parseTime for an optional time. It returns nil for "".
func parseOptionalTime(field string, text timeText) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	at, err := parseTime(field, text)
	if err != nil {
		return nil, err
	}
	t := at.Std()
	return &t, nil
}

// optionalTime converts an optional time for a response. nil becomes null.
func optionalTime(t *time.Time) *snapshot.Time {
	if t == nil {
		return nil
	}
	at := snapshot.TimeOf(*t)
	return &at
}
