package delivery

import (
	"log/slog"
	"path/filepath"
	"slices"
	"sync"

	"github.com/snapwatch/snapwatch/agent/delivery/spool"
	"github.com/snapwatch/snapwatch/internal/wake"
	"github.com/snapwatch/snapwatch/snapshot"
)

// memoryLimit bounds the entries that could not be written to disk, in bytes of JSON.
const memoryLimit = 16 << 20

// Queue keeps snapshots until the server has acknowledged them. It has two tiers. The older entries are on disk, so
// that neither a kill nor a restart loses them. The newer ones are in memory: those that could not be written to disk
// yet, which is normally none. Each tier is bounded. Beyond the bound the oldest run (a full snapshot and its changes)
// is dropped as a whole.
//
// A Queue is safe for concurrent use.
type Queue struct {
	logger *slog.Logger
	limit  int       // bound of memory, in bytes of JSON
	disk   *diskTier // nil if all entries are in memory
	added  wake.Signal

	mu      sync.Mutex
	memory  fifo   // newer than everything on disk
	last    uint64 // number of the newest entry
	newest  newestRun
	dropped int
	drops   unreportedDrops
}

// NewMemoryQueue returns a queue in memory, bounded in bytes of JSON.
func NewMemoryQueue(limit int, logger *slog.Logger) *Queue {
	return &Queue{limit: limit, logger: logger, added: wake.New()}
}

// OpenQueue returns a queue on disk, bounded in compressed bytes, with the entries that the last run of the agent left.
// If the state directory cannot be used, the queue is in memory.
func OpenQueue(stateDir string, maxBytes int, codec *Codec, logger *slog.Logger) *Queue {
	s, err := spool.Open(spool.Config{Dir: filepath.Join(stateDir, "spool"), MaxBytes: int64(maxBytes)})
	if err != nil {
		logger.Error("could not open the queue on disk; unsent snapshots are lost when the agent stops", "err", err)
		return NewMemoryQueue(maxBytes, logger)
	}
	if n := s.Damages(); n > 0 {
		logger.Warn("some unsent snapshots on disk are damaged and are skipped", "places", n)
	}
	if n := s.Last() - s.Done(); n > 0 {
		logger.Info("found unsent snapshots of an earlier run", "snapshots", n)
	}
	q := newDiskQueue(s, codec, logger)
	q.drops = loadUnreportedDrops(filepath.Join(stateDir, "dropped"))
	return q
}

func newDiskQueue(s *spool.Spool, codec *Codec, logger *slog.Logger) *Queue {
	q := NewMemoryQueue(memoryLimit, logger)
	q.disk = newDiskTier(s, codec, logger)
	q.last = s.Last()
	return q
}

// Added returns a channel that receives after entries were added.
func (q *Queue) Added() <-chan struct{} { return q.added }

// Add appends an entry. It returns how many entries were dropped because a bound was exceeded.
func (q *Queue) Add(e Entry) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.dropped
	q.last++
	e.Number = q.last
	q.newest.add(e)
	q.memory.push(e)
	q.writeToDisk()
	q.enforceLimits()
	q.added.Notify()
	return q.dropped - before
}

// writeToDisk moves the entries in memory to disk.
func (q *Queue) writeToDisk() {
	if q.disk == nil {
		return
	}
	var err error
	for err == nil && !q.memory.empty() {
		if err = q.disk.write(q.memory.entries[0]); err == nil {
			q.memory.pop()
		}
	}
	if failing := err != nil; failing != q.disk.failing {
		q.disk.failing = failing
		if failing {
			q.logger.Error("could not write snapshots to disk; they stay in memory until it works again", "err", err)
		} else {
			q.logger.Info("snapshots are written to disk again")
		}
	}
}

// enforceLimits drops the oldest entries of a tier that exceeds its bound.
func (q *Queue) enforceLimits() {
	for q.disk != nil && q.disk.spool.Full() {
		q.countDropped(q.disk.dropSegment())
		if orphans := q.takeLeadingChanges(); len(orphans) > 0 {
			q.countDropped(len(orphans))
			q.disk.remove(orphans[len(orphans)-1].Number)
		}
	}
	for q.memory.bytes > q.limit {
		q.countDropped(q.memory.dropRun())
	}
}

// countDropped counts entries that the server will not get.
func (q *Queue) countDropped(n int) {
	if n == 0 {
		return
	}
	q.dropped += n
	if err := q.drops.add(n); err != nil {
		q.logger.Warn("could not store the number of dropped snapshots", "err", err)
	}
}

// front returns the entries that are sent next. It is empty if nothing waits, or if it cannot be read at the moment.
func (q *Queue) front() *fifo {
	if q.disk == nil {
		return &q.memory
	}
	lost, ok := q.disk.load()
	q.countDropped(lost)
	if !ok || !q.disk.loaded.empty() {
		return &q.disk.loaded
	}
	return &q.memory
}

// takeLeadingChanges removes and returns the oldest entries up to the next full snapshot.
func (q *Queue) takeLeadingChanges() (changes []Entry) {
	for f := q.front(); !f.empty() && f.entries[0].Kind == snapshot.KindChanges; f = q.front() {
		changes = append(changes, f.pop())
	}
	return changes
}

// Head returns the oldest entries: at most n, and at most limit bytes of JSON, but at least one.
func (q *Queue) Head(n, limit int) []Entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.drops.attach(slices.Clone(q.front().head(n, limit)))
}

// Ready reports whether Head would return anything.
func (q *Queue) Ready() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.front().empty()
}

// Newest returns the entries of the newest run after a number, if so many entries wait before that run that it would
// arrive late. The caller may send them ahead of the rest. They stay in the queue.
func (q *Queue) Newest(after uint64) []Entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	run, front := q.newest.entries, q.front()
	if front.empty() || len(run) == 0 || run[0].Number <= front.entries[0].Number+batchLimit {
		return nil
	}
	for len(run) > 0 && run[0].Number <= after {
		run = run[1:]
	}
	return slices.Clone(run)
}

// Remove removes the entries up to a number after the server has acknowledged them. It needs the number because some of
// them may have been dropped in the meantime.
func (q *Queue) Remove(through uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.memory.removeThrough(through)
	if q.disk != nil {
		q.disk.remove(through)
	}
	if err := q.drops.delivered(through); err != nil {
		q.logger.Warn("could not store the number of dropped snapshots", "err", err)
	}
}

// DropRun removes the oldest entry, if it has the given number, and the changes that follow it. It counts them as
// dropped and returns them.
func (q *Queue) DropRun(number uint64) []Entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.front()
	if f.empty() || f.entries[0].Number != number {
		return nil
	}
	run := append([]Entry{f.pop()}, q.takeLeadingChanges()...)
	if q.disk != nil {
		q.disk.remove(run[len(run)-1].Number)
	}
	q.countDropped(len(run))
	return run
}

// Size returns how many entries wait and their bytes, and how many were dropped since the start.
func (q *Queue) Size() (entries, bytes, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	entries, bytes = len(q.memory.entries), q.memory.bytes
	if q.disk != nil {
		n, size := q.disk.size()
		entries, bytes = entries+n, bytes+size
	}
	return entries, bytes, q.dropped
}

// Close writes what waits to disk and syncs it.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.disk == nil {
		return
	}
	q.writeToDisk()
	if err := q.disk.spool.Close(); err != nil {
		q.logger.Warn("could not sync the unsent snapshots to disk", "err", err)
	}
}
