package procfs

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/snapwatch/snapwatch/snapshot"
)

// commandLineOf returns the command line of arguments, read with a buffer of the usual size.
func commandLineOf(limit int, scrubber *Scrubber, arguments ...string) string {
	text := strings.Join(arguments, "\x00") + "\x00"
	const buffer = snapshot.MaxCommandLineBytes + cutMargin + 1
	complete := len(text) < buffer
	return commandLine([]byte(text[:min(len(text), buffer)]), complete, scrubber, limit)
}

func TestLongCommandLines(t *testing.T) {
	const limit = snapshot.MaxCommandLineBytes
	const mark = "…[truncated]"
	x := func(n int) string { return strings.Repeat("x", n) }
	for name, test := range map[string]struct {
		arguments []string
		limit     int
		want      string
	}{
		"20,000 bytes":    {[]string{"java", x(20_000)}, limit, "java " + x(20_000)},
		"exactly as much": {[]string{x(limit)}, limit, x(limit)},
		"one more":        {[]string{x(limit + 1)}, limit, x(limit-len(mark)) + mark},
		"many arguments": {
			strings.Split(strings.Repeat("ab ", 20_000), " "), limit,
			strings.Repeat("ab ", limit/3+1)[:limit-len(mark)] + mark,
		},
		"far too long": {[]string{x(500_000)}, limit, x(limit-len(mark)) + mark},
		"characters":   {[]string{strings.Repeat("ä", 200)}, 256, strings.Repeat("ä", 121) + mark},
		"invalid": {
			[]string{strings.Repeat("\xff", 200)}, 256, strings.Repeat(`\xff`, 61)[:242] + mark,
		},
		"nothing":       {[]string{""}, limit, ""},
		"empty at last": {[]string{"a", "", ""}, limit, "a"},
		"empty between": {[]string{"a", "", "b"}, limit, "a  b"},
	} {
		got := commandLineOf(test.limit, nil, test.arguments...)
		if got != test.want {
			t.Errorf("%s: %d bytes that end with %.40q, want %d that end with %.40q", name, len(got),
				got[max(len(got)-40, 0):], len(test.want), test.want[max(len(test.want)-40, 0):])
		}
		if len(got) > test.limit || !utf8.ValidString(got) {
			t.Errorf("%s: %d bytes with a limit of %d", name, len(got), test.limit)
		}
	}
}

// A secret is removed wherever a command line is cut, even if the cut is within the secret.
func TestSecretsInLongCommandLines(t *testing.T) {
	s := defaultScrubber(t)
	secret, long := ownSecret("swt_"), strings.Repeat("y", 94)
	for _, limit := range []int{minLine, snapshot.MaxCommandLineBytes} {
		for _, cut := range []int{limit, limit + cutMargin} { // of the result, and of what is searched
			for start := cut - len(secret) - 20; start <= cut+1; start += 9 {
				for kind, arguments := range map[string][]string{
					"an argument":      {strings.Repeat("x", start-1), secret, "end"},
					"a script":         {strings.Repeat("x", 10), strings.Repeat("word ", start/5) + secret, "end"},
					"after an option":  {strings.Repeat("x", start), "--token", secret},
					"one long word":    {strings.Repeat("x", start) + secret},
					"masked in front":  {strings.Repeat("TOKEN="+long+" ", start/100), secret, "end"},
					"far behind words": {strings.Repeat("a ", start/2) + "T=" + secret + strings.Repeat(" b", limit)},
				} {
					line := commandLineOf(limit, s, arguments...)
					if i := strings.Index(line, secret[:8]); i >= 0 {
						t.Fatalf("%s at %d, cut at %d: the line has %q", kind, start, cut, line[i:min(len(line), i+60)])
					}
				}
			}
		}
	}
}

// All command lines together are bounded, and each has at least minLine.
func TestLineBudget(t *testing.T) {
	const size = 8 << 20
	b := NewLineBudget(size)
	long := strings.Repeat("x", 2*snapshot.MaxCommandLineBytes)
	total, first := 0, 0
	for range 50_000 {
		line := CutLine(long, b.Limit())
		if len(line) < minLine || len(line) > snapshot.MaxCommandLineBytes || !strings.HasSuffix(line, truncated) {
			t.Fatalf("%d bytes", len(line))
		}
		b.Use(line)
		total += len(line)
		if len(line) == snapshot.MaxCommandLineBytes {
			first++
		}
	}
	if total > size+50_000*minLine || first < 100 {
		t.Errorf("%d bytes, and %d of the longest lines", total, first)
	}
	b.Release(strings.Repeat("x", total))
	if b.Limit() != snapshot.MaxCommandLineBytes {
		t.Errorf("the limit of an empty budget is %d", b.Limit())
	}
	if got := CutLine(CutLine(long, 1000), 500); len(got) != 500 || strings.Count(got, truncated) != 1 {
		t.Errorf("cut twice: %q", got)
	}
	for _, limit := range []int{0, 7, len(truncated) - 1, len(truncated)} {
		if got := CutLine(long, limit); got != truncated {
			t.Errorf("cut to %d bytes: %q", limit, got)
		}
	}
}
