package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/snapwatch/snapwatch/agent"
	"github.com/snapwatch/snapwatch/internal/config"
)

type doctorCommand struct {
	JSON bool `help:"Print the results as JSON."`
}

// Run prints the results of all checks, and fails if there is a problem.
func (c doctorCommand) Run(ctx context.Context, cfg config.Agent) error {
	settings, err := agentConfig(cfg)
	if err != nil {
		return err
	}
	findings := agent.Examine(ctx, settings)
	if c.JSON {
		if err := json.MarshalWrite(os.Stdout, findings, jsontext.WithIndent(" ")); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
		fmt.Println()
	} else {
		printFindings(os.Stdout, findings)
	}
	for _, f := range findings {
		if !f.OK {
			return errors.New("there are problems")
		}
	}
	return nil
}

// printFindings prints each finding, and below it what to do, if anything.
func printFindings(w io.Writer, findings []agent.Finding) {
	for _, f := range findings {
		mark, advice := "ok   ", ""
		switch {
		case !f.OK:
			mark, advice = "WRONG", f.Fix
		case f.Hint != "":
			mark, advice = "note ", f.Hint
		}
		_, _ = fmt.Fprintf(w, "%s  %-16s %s\n", mark, f.What, f.Detail)
		if advice != "" {
			_, _ = fmt.Fprintf(w, "       %-16s → %s\n", "", advice)
		}
	}
}
