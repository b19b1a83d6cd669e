package api

import (
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Span is a window of time in a query.
type TimeWindow struct {
	Since string `query:"since" maxLength:"20" example:"3h" doc:"The window from this long ago until now: a number and s, m, h, d or w; 1h if no window is given"`
	From  string `query:"from" format:"date-time" doc:"Begin of the window"`
	To    string `query:"to" format:"date-time" doc:"End of the window, by default now"`
}

// window reads the span. A begin before 1970 or an end in the far future is no
// fault: there is just nothing there.
func (in *TimeWindow) window(now time.Time) (from, to snapshot.Time, err error) {
	to = snapshot.TimeOf(now)
	if in.To != "" {
		if to, err = parseTime("to", in.To); err != nil {
			return 0, 0, err
		}
	}
	switch {
	case in.Since != "" && (in.From != "" || in.To != ""):
		return 0, 0, invalid("since", "cannot be given together with from or to")
	case in.From == "" && in.To != "":
		return 0, 0, invalid("from", "is required where to is given")
	case in.From != "":
		if from, err = parseTime("from", in.From); err != nil {
			return 0, 0, err
		}
	default:
		since := time.Hour
		if in.Since != "" {
			if since, err = parseSince(in.Since); err != nil {
				return 0, 0, err
			}
		}
		from = snapshot.TimeOf(now.Add(-since))
	}
	if from >= to {
		return 0, 0, invalid("from", "must be before to")
	}
	if to.Sub(from) > maxSince {
		return 0, 0, invalid("from", "must be at most ten years before to")
	}
	return from, to, nil
}
