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
	JSON bool `help:"For programs."`
}

// Run examines, and fails if anything is wrong.
func (c doctorCommand) Run(ctx context.Context, cfg config.Agent) error {
	settings, err := agentConfig(cfg)
	if err != nil {
		return err
	}
	findings := agent.Examine(ctx, settings)
	if c.JSON {
		if err := json.MarshalWrite(os.Stdout, findings, jsontext.WithIndent(" ")); err != nil {
			return fmt.Errorf("write what was found: %w", err)
		}
		fmt.Println()
	}
	var wrong error
	for _, f := range findings {
		mark := "ok   "
		if !f.OK {
			mark, wrong = "WRONG", errors.New("something is wrong")
		}
		if c.JSON {
			continue
		}
		fmt.Printf("%s  %-16s %s\n", mark, f.What, f.Detail)
		if f.Fix != "" {
			fmt.Printf("       %-16s → %s\n", "", f.Fix)
		}
	}
	return wrong
}
