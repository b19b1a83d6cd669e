package snapshot_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

func TestConfigExcludes(t *testing.T) {
	for pattern, names := range map[string]struct{ yes, no []string }{
		"kworker":   {[]string{"kworker"}, []string{"kworker/0:1", "", "akworker"}},
		"kworker*":  {[]string{"kworker", "kworker/0:1"}, []string{"akworker"}},
		"*d":        {[]string{"sshd", "d"}, []string{"ssh", ""}},
		"a*b*c":     {[]string{"abc", "a-b-c", "abbcc", "aXbYbZc"}, []string{"acb", "ab", "bc", "abcd"}},
		"*":         {[]string{"", "anything"}, nil},
		"aa*aa":     {[]string{"aaaa", "aabaa"}, []string{"aaa", "aa"}},
		"**x**":     {[]string{"x", "axb"}, []string{"", "ab"}},
		"a.c":       {[]string{"a.c"}, []string{"abc"}},
		"(sd-pam)*": {[]string{"(sd-pam)"}, []string{"sd-pam"}},
	} {
		c := snapshot.Config{Exclude: []string{"other", pattern}}
		for _, name := range names.yes {
			if c.Records(name) {
				t.Errorf("%s lets %q through", pattern, name)
			}
		}
		for _, name := range names.no {
			if !c.Records(name) {
				t.Errorf("%s excludes %q", pattern, name)
			}
		}
	}
	if !snapshot.DefaultConfig().Records("init") {
		t.Error("something is excluded by default")
	}
}

func TestCheckExclude(t *testing.T) {
	if err := snapshot.ValidateNamePatterns("exclude", []string{"kworker*", strings.Repeat("x", snapshot.MaxTextBytes)}); err != nil {
		t.Error(err)
	}
	for field, patterns := range map[string][]string{
		"exclude":    slices.Repeat([]string{"x"}, snapshot.MaxNamePatterns+1),
		"exclude[1]": {"x", ""},
		"exclude[0]": {strings.Repeat("x", snapshot.MaxTextBytes+1)},
	} {
		if fault, ok := errors.AsType[*snapshot.ValidationError](snapshot.ValidateNamePatterns("exclude", patterns)); !ok ||
			fault.Field != field {
			t.Errorf("want a fault of %s, got %v", field, fault)
		}
	}
}
