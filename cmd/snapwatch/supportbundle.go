package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/snapwatch/snapwatch/internal/buildinfo"
	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/supportbundle"
)

type supportCommand struct {
	File string `arg:"" optional:"" help:"File to create, or - for standard output. Empty: snapwatch-support-TIME.tar.gz in the current directory."`
	diagnosis
	WithNames      bool `help:"Keep the names of machines, users, hosts and files."`
	ProfileSeconds int  `default:"5" help:"Duration of the CPU profile in seconds, at most 60. 0: none."`
}

// Run writes the support bundle.
func (c *supportCommand) Run(ctx context.Context) (err error) {
	if c.ProfileSeconds < 0 || c.ProfileSeconds > 60 {
		return errors.New("--profile-seconds must be 0 to 60")
	}
	settings, hidden, err := config.Effective(c.WithNames, &c.Database, &c.Server, &c.Access, &c.OIDC, &c.TLS)
	if err != nil {
		return err
	}
	cfg, uid, err := c.config()
	if err != nil {
		return err
	}
	name := c.File
	if name == "" {
		name = "snapwatch-support-" + time.Now().UTC().Format("20060102T150405Z") + ".tar.gz"
	}
	var out io.Writer = os.Stdout
	if name != "-" {
		file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("create the support bundle: %w", err)
		}
		defer func() {
			err = errors.Join(err, file.Close())
			if err != nil {
				_ = os.Remove(name)
			}
		}()
		out = file
	}
	if uid >= 0 { // that user may not be allowed to create the file
		err = runAsTo(ctx, uid, cfg.DataDir, c.argumentsToStdout(os.Args[1:]), out)
	} else {
		err = supportbundle.Write(ctx, out, supportbundle.Config{
			Doctor: cfg, Version: buildinfo.Read().String(), Settings: settings, Hidden: hidden, WithNames: c.WithNames,
			ProfileSeconds: c.ProfileSeconds,
		})
	}
	if err == nil && name != "-" {
		fmt.Fprintf(os.Stderr, "Wrote %s. Please look through it before you pass it on.\n", name)
	}
	return err
}

// argumentsToStdout returns the arguments of this command with standard output as the file.
func (c *supportCommand) argumentsToStdout(arguments []string) []string {
	arguments = slices.Clone(arguments)
	if c.File == "" {
		return append(arguments, "-")
	}
	for i := len(arguments) - 1; i >= 0; i-- {
		if arguments[i] == c.File {
			arguments[i] = "-"
			break
		}
	}
	return arguments
}
