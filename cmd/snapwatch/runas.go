package main

import (
	"errors"
	"os/exec"
	"slices"
)

// runAsError means that the command failed that runAs has executed, and has printed why.
type runAsError struct{ exit *exec.ExitError }

// newRunAsError returns err, as a runAsError if it is the exit status of a command.
func newRunAsError(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &runAsError{exit}
	}
	return err
}

// Error returns the exit status.
func (e *runAsError) Error() string { return e.exit.Error() }

// withFlags returns arguments with more flags. After "--", they would not be flags.
func withFlags(arguments []string, flags ...string) []string {
	end := slices.Index(arguments, "--")
	if end < 0 {
		end = len(arguments)
	}
	return slices.Insert(slices.Clone(arguments), end, flags...)
}
