package main

import (
	"context"
	"errors"
	"fmt"
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
	}
	var problem error
	for _, f := range findings {
		mark := "ok   "
		if !f.OK {
			mark, problem = "WRONG", errors.New("there are problems")
		}
		if c.JSON {
			continue
		}
		fmt.Printf("%s  %-16s %s\n", mark, f.What, f.Detail)
		if f.Fix != "" {
			fmt.Printf("       %-16s → %s\n", "", f.Fix)
		}
	}
	return problem
}
