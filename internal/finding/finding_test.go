package finding_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/snapwatch/snapwatch/internal/finding"
)

func TestPrint(t *testing.T) {
	findings := []finding.Finding{
		{What: "clock", OK: true, Detail: "right"},
		{What: "permissions", OK: true, Detail: "few", Hint: "get more"},
		{What: "server", Detail: "down", Fix: "start it"},
	}
	var out bytes.Buffer
	if err := finding.Print(&out, findings); err != nil {
		t.Fatal(err)
	}
	const want = `ok     clock            right
note   permissions      few
                        → get more
WRONG  server           down
                        → start it
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	if err := finding.Check(findings[:2]); err != nil {
		t.Errorf("without problems: %v", err)
	}
	if err := finding.Check(findings); !errors.Is(err, finding.ErrProblems) {
		t.Errorf("with a problem: %v", err)
	}
}
