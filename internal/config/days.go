package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Days is a number of days. Its text is a number, with or without d, or a duration such as 720h, which is rounded up to
// whole days.
type Days int32

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Days) UnmarshalText(text []byte) error {
	days, err := strconv.ParseUint(strings.TrimSuffix(string(text), "d"), 10, 16)
	if err != nil {
		duration, err := time.ParseDuration(string(text))
		if err != nil || duration < 0 || duration > math.MaxUint16*day {
			return fmt.Errorf("%q is not a number of days, such as 30d", text)
		}
		days = uint64((duration + day - 1) / day)
	}
	*d = Days(days)
	return nil
}

// Duration returns the days as a duration.
func (d Days) Duration() time.Duration { return time.Duration(d) * day }
