package query

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

func TestPlanWindow(t *testing.T) {
	now := time.Date(2026, 5, 20, 15, 40, 0, 0, time.UTC)
	horizon := time.Date(2026, 5, 16, 0, 0, 0, 0, time.UTC) // the disk budget has dropped older days
	hoursFrom := time.Date(2026, 2, 9, 15, 40, 0, 0, time.UTC)
	for _, test := range []struct {
		name, from, to string
		exact          bool
		want           string
	}{
		{"two hours", "05-20T12:10", "05-20T14:10", false, "process_samples 20T12:10-20T14:10"},
		{"until now", "05-20T02:10", "05-20T15:40", false,
			"process_1h 20T02:00-20T15:00, process_samples 20T15:00-20T15:40"},
		{"past hours, widened", "05-20T02:10", "05-20T09:20", false, "process_1h 20T02:00-20T10:00"},
		{"past hours, exact", "05-20T02:10", "05-20T09:20", true,
			"process_samples 20T02:10-20T03:00, process_1h 20T03:00-20T09:00, process_samples 20T09:00-20T09:20"},
		{"days in the middle", "05-10T13:10", "05-20T15:40", false,
			"process_1h 10T13:00-11T00:00, process_1d 11T00:00-20T00:00, process_1h 20T00:00-20T15:00, " +
				"process_samples 20T15:00-20T15:40"},
		{"an exact day", "05-11T00:00", "05-12T00:00", true, "process_1d 11T00:00-12T00:00"},
		{"when hours are gone", "01-05T13:10", "01-07T05:00", false,
			"process_1d 05T00:00-08T00:00"},
		{"three hours of a day whose hours are gone", "01-05T10:00", "01-05T13:00", false,
			"process_1d 05T00:00-06T00:00"},
		{"when the first hours are gone", "02-08T13:10", "02-11T05:00", false,
			"process_1d 08T00:00-11T00:00, process_1h 11T00:00-11T05:00"},
		{"when the hours of the end's day are gone in part", "02-08T13:10", "02-09T20:00", false,
			"process_1d 08T00:00-10T00:00"},
		{"two hours of a day that was dropped", "05-15T12:10", "05-15T14:10", false, "process_1h 15T12:00-15T15:00"},
		{"the future", "05-20T15:30", "05-21T15:40", false, "process_samples 20T15:00-21T15:40"},
	} {
		t.Run(test.name, func(t *testing.T) {
			parse := func(text string) time.Time {
				at, err := time.Parse("2006-01-02T15:04", "2026-"+text)
				if err != nil {
					t.Fatal(err)
				}
				return at
			}
			from, to := parse(test.from), parse(test.to)
			got := planWindow(from, to, now.Truncate(time.Hour), horizon, hoursFrom, now, test.exact)
			if got.To.Std().After(now) {
				t.Errorf("the window ends at %s", got.To)
			}
			var parts []string
			for _, one := range got.segments {
				parts = append(
					parts,
					fmt.Sprintf("%s %s-%s", one.relation, one.from.Format("02T15:04"), one.to.Format("02T15:04")),
				)
			}
			if text := strings.Join(parts, ", "); text != test.want {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
			for i := 1; i < len(got.segments); i++ {
				if !got.segments[i-1].to.Equal(got.segments[i].from) {
					t.Error("the segments do not touch")
				}
			}
		})
	}
}

func TestMatchInMemory(t *testing.T) {
	for _, test := range []struct {
		command, text string
		want          bool
	}{
		{"nginx", "/usr/sbin/NGINX -g daemon", true},
		{"nginx", "/usr/sbin/apache", false},
		{"/usr/*/nginx*", "/usr/sbin/nginx -g", true},
		{"*nginx", "/usr/sbin/nginx -g", false},
		{"?inx*", "nginx", false},
		{"?ginx", "nginx", true},
		{"100%", "at 100% of it", true},
		{"100%", "at 100 of it", false},
		{`a\b_c`, `x a\b_c y`, true},
		{`a\b_c`, `x a\bXc y`, false},
		{"*a*a*a*a*a*a*a*a*b", strings.Repeat("a", 5000), false},
		{"", "anything", true},
		{"a/*/c", "a/b/b/c", true},
		{"a?c*", "a/cd", true},
		{"[ab]*", "[ab]c", true},
		{"[ab]*", "a", false},
		{`C:\Windows\*`, `C:\Windows\System32`, true},
		{"[*]", "a * b", true},
		{"[*]", "ab", false},
		{"what[?]", "what?", true},
		{"what[?]", "whatever", false},
		{"*[*]*", "a*b", true},
		{"*[*]*", "ab", false},
		{"*日?", "/usr/日本", true},
		{"*žluťoučký*", "/opt/ŽLUŤOUČKÝ.exe", true},
		{"ŽLUŤOUČKÝ", "/opt/žluťoučký.exe", true},
		{"straße", "STRAẞE", true},
		{"straße", "STRASSE", false},
		{"ΟΔΟΣ", "οδος", true},
		{"οδοσ", "ΟΔΟς", true},
		{"İ", "i", false},
		{"i", "İ", false},
		{"I", "ı", false},
		{"e\u0301", "E\u0301", true},
		{"é", "e\u0301", false},
		{"k", "\u212a", false},
		{"\u212a", "\u212a", true},
		{"ſ", "S", false},
	} {
		match := Match{Command: test.command}.matcher()
		if got := match(&snapshot.Identity{CommandLine: test.text}); got != test.want {
			t.Errorf("%q in %q: %v, want %v", test.command, test.text, got, test.want)
		}
	}
}
