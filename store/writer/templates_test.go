package writer

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// formatTemplate is PostgreSQL's format(template, VARIADIC string_to_array(vars, ' ')) for the templates that split
// makes.
func formatTemplate(template, vars string) string {
	rest := strings.Split(vars, " ")
	var b strings.Builder
	for i := 0; i < len(template); i++ {
		if template[i] != '%' {
			b.WriteByte(template[i])
			continue
		}
		i++
		if template[i] == '%' {
			b.WriteByte('%')
		} else {
			b.WriteString(rest[0])
			rest = rest[1:]
		}
	}
	return b.String()
}

func checkSplit(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, commandLine string,
) {
	t.Helper()
	var s templateSplitter
	hasVars := s.split(commandLine)
	got := string(s.template)
	if hasVars {
		got = formatTemplate(got, string(s.vars))
	}
	if got != commandLine || !hasVars && len(s.vars) > 0 {
		t.Fatalf("%q was split into %q and %q, which are %q", commandLine, s.template, s.vars, got)
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for commandLine, want := range map[string]string{
		"":                                 "",
		"sh -c true":                       "sh -c true",
		"date +%s":                         "date +%s", // without parts that vary, % stands for itself
		"sleep 300":                        "sleep 300",
		"sleep 1800":                       "sleep %s 1800",
		"printf 100% 20261127":             "printf 100%% %s 20261127",
		"cc1 -o /tmp/ccXyAbCd.s":           "cc1 -o /tmp/%s.s ccXyAbCd",
		"cat /tmp/build/output":            "cat /tmp/build/output", // not directly in the folder
		"cat /var/tmp/output x":            "cat /var/tmp/%s x output",
		"runc --root /run 4f9ae1b2c3":      "runc --root /run %s 4f9ae1b2c3",
		"gcc -march=x86_64 a1b2 file123.c": "gcc -march=x86_64 a1b2 file123.c",
		"größe 12345 ä9999":                "größe %s ä%s 12345 9999",
		"a%s 1234":                         "a%%s %s 1234",
	} {
		var s templateSplitter
		hasVars := s.split(commandLine)
		got := string(s.template)
		if hasVars {
			got += " " + string(s.vars)
		}
		if got != want {
			t.Errorf("%q was split into %q, want %q", commandLine, got, want)
		}
		checkSplit(t, commandLine)
	}
}

// A split is lossless, whatever the text is.
func TestSplitIsLossless(t *testing.T) {
	t.Parallel()
	parts := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9]{1,12}`),
		rapid.SampledFrom([]string{"%", "%%", "%s", " ", "/", "/tmp/", "tmp/", "0", "1234"}))
	rapid.Check(t, func(t *rapid.T) {
		checkSplit(t, strings.Join(rapid.SliceOfN(parts, 0, 12).Draw(t, "parts"), ""))
	})
}

func FuzzSplit(f *testing.F) {
	for _, seed := range []string{"", "date +%s 1234", "/tmp/abcdef 100%", "a1b2c3d4 %% \x80\xff9999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, commandLine string) { checkSplit(t, commandLine) })
}
