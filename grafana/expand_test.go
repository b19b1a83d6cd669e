package grafana_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scope holds the values that Grafana inserts into a query: the time range and the variables.
type scope struct {
	from, to    time.Time
	timescaledb bool
	variables   map[string]string
}

var (
	variablePattern = regexp.MustCompile(`\$\{(\w+)(?::(\w+))?\}|\$(\w+)`)
	macroPattern    = regexp.MustCompile(`\$__(\w+)\(([^)]*)\)`)
)

// interpolate replaces variables as Grafana does in the browser ("Variable syntax" and "Advanced variable
// format options" in its documentation). It leaves macros, which look like $__name(…).
func (s scope) interpolate(t testing.TB, text string) string {
	t.Helper()
	return replaceSubmatches(variablePattern, text, func(match string, groups []string, rest string) string {
		name, format := groups[1]+groups[3], groups[2]
		if strings.HasPrefix(name, "__") && strings.HasPrefix(rest, "(") {
			return match
		}
		value, ok := s.variables[name]
		switch name {
		case "__from":
			value, ok = strconv.FormatInt(s.from.UnixMilli(), 10), true
		case "__to":
			value, ok = strconv.FormatInt(s.to.UnixMilli(), 10), true
		case "__interval":
			value, ok = "1m", true
		case "__rate_interval":
			value, ok = "4s", true
		}
		if !ok {
			t.Errorf("unknown variable %s in %s", name, text)
		}
		switch format {
		case "raw":
			return value
		case "sqlstring":
			return "'" + strings.ReplaceAll(value, "'", "''") + "'"
		case "": // the data source escapes quotes in a single value, and adds none
			return strings.ReplaceAll(value, "'", "''")
		}
		t.Errorf("unknown format %s of %s", format, name)
		return ""
	})
}

// expand replaces the macros of the PostgreSQL data source as Grafana's server does ("Macros" in the
// documentation of the data source).
func (s scope) expand(t testing.TB, text string) string {
	t.Helper()
	stamp := func(at time.Time) string { return "'" + at.UTC().Format(time.RFC3339Nano) + "'" }
	return replaceSubmatches(macroPattern, text, func(_ string, groups []string, _ string) string {
		var args []string
		for arg := range strings.SplitSeq(groups[2], ",") {
			args = append(args, strings.TrimSpace(arg))
		}
		switch groups[1] {
		case "timeFilter":
			return fmt.Sprintf("%s BETWEEN %s AND %s", args[0], stamp(s.from), stamp(s.to))
		case "timeFrom":
			return stamp(s.from)
		case "timeTo":
			return stamp(s.to)
		case "timeGroup", "timeGroupAlias":
			width, err := time.ParseDuration(strings.Trim(args[1], "'"))
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			group := fmt.Sprintf("floor(extract(epoch from %s)/%v)*%v", args[0], width.Seconds(), width.Seconds())
			if s.timescaledb {
				group = fmt.Sprintf("time_bucket('%.3fs',%s)", width.Seconds(), args[0])
			}
			if groups[1] == "timeGroupAlias" {
				group += ` AS "time"`
			}
			return group
		}
		t.Errorf("unknown macro %s: %s", groups[1], text)
		return ""
	})
}

// replaceSubmatches is like ReplaceAllStringFunc; replace also gets the groups, and the text that follows.
func replaceSubmatches(
	pattern *regexp.Regexp, text string, replace func(match string, groups []string, rest string) string,
) string {
	var b strings.Builder
	at := 0
	for _, place := range pattern.FindAllStringSubmatchIndex(text, -1) {
		groups := make([]string, len(place)/2)
		for i := range groups {
			if place[2*i] >= 0 {
				groups[i] = text[place[2*i]:place[2*i+1]]
			}
		}
		b.WriteString(text[at:place[0]])
		b.WriteString(replace(groups[0], groups, text[place[1]:]))
		at = place[1]
	}
	return b.String() + text[at:]
}

func TestExpansion(t *testing.T) {
	t.Parallel()
	s := scope{
		from:      time.UnixMilli(1_780_000_000_000),
		to:        time.UnixMilli(1_780_000_360_500),
		variables: map[string]string{"a": "it's"},
	}
	for text, want := range map[string]string{
		`${a:sqlstring}, ${a:raw}, ${a}, $a;`:           `'it''s', it's, it''s, it''s;`,
		`${__to} - ${__from}`:                           `1780000360500 - 1780000000000`,
		`WHERE $__timeFilter(r.bucket)`:                 `WHERE r.bucket BETWEEN '2026-05-28T20:26:40Z' AND '2026-05-28T20:32:40.5Z'`,
		`f(${a:sqlstring}, $__timeFrom(), $__timeTo())`: `f('it''s', '2026-05-28T20:26:40Z', '2026-05-28T20:32:40.5Z')`,
		`SELECT $__timeGroupAlias(ts, '5m')`:            `SELECT floor(extract(epoch from ts)/300)*300 AS "time"`,
	} {
		if got := s.expand(t, s.interpolate(t, text)); got != want {
			t.Errorf("%s\nbecame %s\nwant   %s", text, got, want)
		}
	}
	s.timescaledb = true
	if got := s.expand(t, s.interpolate(t, `$__timeGroup(ts,$__interval)`)); got != `time_bucket('60.000s',ts)` {
		t.Error(got)
	}
}
