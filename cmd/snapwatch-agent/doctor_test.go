package main

import (
	"bytes"
	"testing"

	"github.com/snapwatch/snapwatch/agent"
)

func TestPrintFindings(t *testing.T) {
	var out bytes.Buffer
	printFindings(&out, []agent.Finding{
		{What: "clock", OK: true, Detail: "right"},
		{What: "permissions", OK: true, Detail: "few", Hint: "get more"},
		{What: "server", Detail: "down", Fix: "start it"},
	})
	const want = `ok     clock            right
note   permissions      few
                        → get more
WRONG  server           down
                        → start it
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
