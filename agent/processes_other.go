//go:build !linux

package agent

import "errors"

func newProcessReader(_ string, scrub *scrubber) (processReader, error) {
	return newGopsutilReader(scrub), nil
}

func watchExits(*scrubber) (exitSource, error) {
	return nil, errors.New("this system does not tell of processes that end")
}

// forks is not known.
func forks() int64 { return unknown }
