package main

import (
	"context"
	"os"

	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/doctor"
	"github.com/snapwatch/snapwatch/internal/finding"
)

// diagnosticCommands are the commands that read the settings of the service, because they examine it.
var diagnosticCommands = []string{"doctor", "support-bundle"}

// diagnosis is the settings of the server that a command examines.
type diagnosis struct {
	config.Database
	config.Server
	config.Access
	config.OIDC
	config.TLS
	ServerURL string `name:"server" env:"SNAPWATCH_SERVER" help:"URL of the running server. Empty: the address of --listen on this machine."`
}

// config returns the settings for the doctor. If another user must run the command, because only that user can access
// the private database, it returns the user's id, and else -1.
func (d *diagnosis) config() (cfg doctor.Config, uid int, err error) {
	cfg = doctor.Config{
		Database: d.Database, Server: d.Server, Access: d.Access, OIDC: d.OIDC, TLS: d.TLS,
		DatabaseURL: d.DatabaseURL, ServerURL: d.ServerURL,
	}
	if cfg.DataDir, err = d.Database.Dir(); err != nil || d.DatabaseURL != "" {
		return cfg, -1, err
	}
	// Without a private database, the doctor says so.
	if dir, err := locateCluster(d.Database); err == nil {
		cfg.DataDir = dir
	}
	return cfg, clusterUser(cfg.DataDir), nil
}

type doctorCommand struct {
	diagnosis
	JSON bool `help:"Print the results as JSON."`
}

// Run prints the results of all checks, and fails if there is a problem.
func (c *doctorCommand) Run(ctx context.Context) error {
	cfg, uid, err := c.config()
	if err != nil {
		return err
	}
	if uid >= 0 {
		return runAs(ctx, uid, cfg.DataDir)
	}
	findings := doctor.Examine(ctx, cfg)
	print := finding.Print
	if c.JSON {
		print = finding.PrintJSON
	}
	if err := print(os.Stdout, findings); err != nil {
		return err
	}
	return finding.Check(findings)
}
