//go:build linux

package main

import (
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// stream makes the snapshots of a simulated machine. Two streams with the same seed and the same instants make the same
// snapshots, so the expected values do not have to be kept.
type stream struct {
	machine  *snapshottest.Machine
	encoder  snapshot.Encoder
	previous snapshot.Time
}

// instant is a time at which a stream takes a snapshot.
type instant struct {
	at     snapshot.Time
	full   bool
	stored outcome
}

// outcome is what is known about a snapshot that was sent.
type outcome int

const (
	unknown      outcome = iota // no response was received
	acknowledged                // it must be stored
	refused                     // it must not be stored
)

func newStream(seed uint64, processes int) *stream {
	return &stream{machine: snapshottest.NewMachine(seed, processes)}
}

// next returns the snapshot of an instant, and the process list that it was made from.
func (s *stream) next(i instant) (snapshot.Snapshot, []snapshot.Process) {
	processes := s.machine.Step(i.at)
	one := snapshot.Snapshot{Timestamp: i.at, Kind: snapshot.KindFull, Machine: s.machine.Metrics(), IntervalMS: 1000}
	if s.previous != 0 {
		one.IntervalMS = int64(i.at - s.previous)
	}
	if i.full {
		one.Processes = s.encoder.Full(processes)
	} else {
		one.Kind, one.Previous = snapshot.KindChanges, s.previous
		one.Processes, one.Exited = s.encoder.Changes(processes)
	}
	s.previous = i.at
	return one, processes
}
