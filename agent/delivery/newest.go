package delivery

import "github.com/snapwatch/snapwatch/snapshot"

// maxNewestRun bounds the newest run, in bytes of JSON.
const maxNewestRun = 2 << 20

// newestRun is the newest full snapshot with the changes that follow it. A live view needs these first.
type newestRun struct {
	entries []Entry
	bytes   int
}

// add appends the newest entry. A run that exceeds the bound is discarded; the next full snapshot starts another.
func (r *newestRun) add(e Entry) {
	if e.Kind == snapshot.KindFull {
		r.entries, r.bytes = nil, 0
	} else if len(r.entries) == 0 {
		return // the full snapshot is missing
	}
	if r.bytes += len(e.JSON); r.bytes > maxNewestRun {
		r.entries = nil
		return
	}
	r.entries = append(r.entries, e)
}
