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

// memoryLimit limits the entries in memory that could not be written to disk, in bytes of JSON.
const memoryLimit = 16 << 20

// Queue keeps snapshots until the server has acknowledged them. It stores them on disk, so that they survive a crash.
// Entries that cannot be written to disk are kept in memory until that works again. Both tiers have a limit. If a tier
// exceeds its limit, the queue drops the oldest run, which is a full snapshot and its changes, as a whole.
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

// NewMemoryQueue returns a queue in memory that holds at most limit bytes of JSON.
func NewMemoryQueue(limit int, logger *slog.Logger) *Queue {
	return &Queue{limit: limit, logger: logger, added: wake.New()}
}

// OpenQueue returns a queue on disk that holds at most maxBytes compressed bytes. It contains the unsent entries of the
// agent's previous run. If the state directory cannot be used, the queue is in memory.
func OpenQueue(stateDir string, maxBytes int, codec *Codec, logger *slog.Logger) *Queue {
	s, err := spool.Open(spool.Config{Dir: filepath.Join(stateDir, "spool"), MaxBytes: int64(maxBytes)})
	if err != nil {
		logger.Error("could not open the queue on disk; unsent snapshots are lost when the agent stops", "err", err)
		return NewMemoryQueue(maxBytes, logger)
	}
	if n := s.CorruptRegions(); n > 0 {
		logger.Warn("some unsent snapshots on disk are damaged and are skipped", "places", n)
	}
	if n := s.Last() - s.RemovedThrough(); n > 0 {
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

// Added returns a channel that receives a value after entries are added.
func (q *Queue) Added() <-chan struct{} { return q.added }

// Add appends an entry. It returns the number of entries that were dropped because a limit was exceeded.
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

// enforceLimits drops the oldest entries of a tier that exceeds its limit.
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

// countDropped adds to the number of dropped entries and stores it.
func (q *Queue) countDropped(n int) {
	if n == 0 {
		return
	}
	q.dropped += n
	if err := q.drops.add(n); err != nil {
		q.logger.Warn("could not store the number of dropped snapshots", "err", err)
	}
}

// front returns the tier with the oldest entries, which are sent next. It is empty if no entry waits, or if the entries
// on disk cannot be read at the moment.
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

// Newest returns the entries of the newest run whose number is greater than after. It returns nothing if only a few
// entries wait before that run. The caller may send the entries before the older ones. They stay in the queue.
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

// Size returns the number of waiting entries, their size in bytes, and the number of entries dropped since the start.
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

// Close writes the entries in memory to disk and syncs the disk.
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
