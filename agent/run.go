package agent

import "github.com/snapwatch/snapwatch/snapshot"

// maxRun bounds what is kept of the newest run, in bytes of JSON.
const maxRun = 2 << 20

// run is the newest full snapshot with the changes that rest on it: what makes a live
// view, whatever else waits to be sent.
type run struct {
	list  []queued
	bytes int
}

// add takes the newest snapshot; a run that grows beyond its bound is given up until the
// next begins.
func (r *run) add(s queued) {
	if s.kind == snapshot.KindFull {
		r.list, r.bytes = nil, 0
	} else if len(r.list) == 0 {
		return // what it rests on is not here
	}
	if r.bytes += len(s.json); r.bytes > maxRun {
		r.list = nil
		return
	}
	r.list = append(r.list, s)
}
