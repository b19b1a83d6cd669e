package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/snapwatch/snapwatch/internal/buildinfo"
	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/supportbundle"
)

type supportCommand struct {
	File string `arg:"" optional:"" help:"File to create, or - for standard output. Empty: snapwatch-support-TIME.tar.gz in the current directory."`
	diagnosis
	WithNames      bool `help:"Keep the names of machines, users, hosts and files."`
	ToStdout       bool `hidden:"" help:"Write to standard output, whatever the file is."`
	ProfileSeconds int  `default:"5" help:"Duration of the CPU profile in seconds, at most 60. 0: none."`
}

// Run writes the support bundle.
func (c *supportCommand) Run(ctx context.Context) error {
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
	write := func(out io.Writer) error {
		if uid >= 0 { // that user may not be allowed to create the file
			return runAsTo(ctx, uid, cfg.DataDir, withFlags(os.Args[1:], "--to-stdout"), out)
		}
		return supportbundle.Write(ctx, out, supportbundle.Config{
			Doctor: cfg, Version: buildinfo.Read().String(), Settings: settings, Hidden: hidden, WithNames: c.WithNames,
			ProfileSeconds: c.ProfileSeconds,
		})
	}
	if name == "-" || c.ToStdout {
		return write(os.Stdout)
	}
	if err := writeNewFile(name, write); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Wrote %s. Please look through it before you pass it on.\n", name)
	return nil
}

// writeNewFile creates a file that only its owner can read, and removes it if write fails.
func writeNewFile(name string, write func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("create the support bundle: %w", err)
	}
	if err := errors.Join(write(file), file.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
