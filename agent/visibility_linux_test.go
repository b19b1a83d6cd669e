package agent

import (
	"strings"
	"testing"
)

// The hint is something that gives this agent more permissions than it has.
func TestIOFinding(t *testing.T) {
	for name, test := range map[string]struct {
		denied        int
		capable, root bool
		detail, hint  string // parts; without a hint there must be none
		not           string // must not be in the hint
	}{
		"all are available":       {0, false, false, "all values of all 9", "", ""},
		"capable":                 {1, true, false, "another user namespace", "", ""},
		"root":                    {1, true, true, "another user namespace", "", ""},
		"root without capability": {1, false, true, "1 of 9", "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH", "as root"},
		"another user":            {1, false, false, "1 of 9", "run it as root", "cap_add"},
	} {
		t.Run(name, func(t *testing.T) {
			f := ioFinding(test.denied, 9, test.capable, test.root)
			if !f.OK || f.Fix != "" || !strings.Contains(f.Detail, test.detail) {
				t.Errorf("%+v", f)
			}
			if (f.Hint == "") != (test.hint == "") || !strings.Contains(f.Hint, test.hint) {
				t.Errorf("the hint is %q", f.Hint)
			}
			if test.not != "" && strings.Contains(f.Hint, test.not) {
				t.Errorf("the hint is %q", f.Hint)
			}
		})
	}
}
