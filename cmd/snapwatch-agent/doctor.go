package main

import (
	"context"
	"os"

	"github.com/snapwatch/snapwatch/agent"
	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/finding"
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
	print := finding.Print
	if c.JSON {
		print = finding.PrintJSON
	}
	if err := print(os.Stdout, findings); err != nil {
		return err
	}
	return finding.Check(findings)
}
