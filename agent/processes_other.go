//go:build !linux

package agent

func newProcessReader(string) (processReader, error) { return newGopsutilReader(), nil }
