//go:build !linux

package agent

// releaseProgram is left to systems that do not need it.
func releaseProgram() error { return nil }
