package agent

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/snapwatch/snapwatch/agent/spool"
	"github.com/snapwatch/snapwatch/snapshot"
)

// queued is a snapshot that waits to be sent, encoded. Numbers rise by one from
// snapshot to snapshot, whatever the clock does.
type queued struct {
	number uint64
	at     snapshot.Time
	kind   snapshot.Kind
	json   []byte
	// dropped is how many before it were dropped that the server is not told of yet.
	dropped int64
}

// body is the snapshot as it is sent.
func (s *queued) body() []byte {
	if s.dropped == 0 {
		return s.json
	}
	// The machine's part comes before all that others have a say in.
	field := fmt.Sprintf(`"machine_snapshot":{"dropped_snapshots":%d,`, s.dropped)
	return bytes.Replace(s.json, []byte(`"machine_snapshot":{`), []byte(field), 1)
}

// memoryWindow is how much of what waits is kept in memory where it is on disk as
// well, in bytes of JSON; what cannot be written may take four times as much.
const memoryWindow = 4 << 20

// givenUp is how long snapshots that cannot be read hold up those after them.
const givenUp = 10 * time.Minute

// queue keeps snapshots until they are acknowledged. Each is written to the spool when
// it is taken, so that neither a kill nor a restart loses it; the oldest are in memory
// too, from where they are sent. Where nothing can be written it makes do with memory.
type queue struct {
	limit  int // of what waits in memory alone, in bytes of JSON
	window int // of what is in memory and on disk
	spool  *spool.Spool
	packer *packer
	logger *slog.Logger

	mu    sync.Mutex
	list  []queued // the oldest that wait
	bytes int
	// behind tells that the spool has more, after those in list.
	behind bool
	// extra follows what is in the spool: what could not be written, and what came after
	// it until that was sent.
	extra      []queued
	extraBytes int
	last       uint64 // number of the newest
	newest     run
	dropped    int
	untold     untold
	failing    bool      // the last write failed
	since      time.Time // from when on what comes next cannot be read
	wake       chan struct{}
}

// untold counts the dropped snapshots that the server has not heard of. It outlasts the
// agent where there is a file.
type untold struct {
	file  string // "" for none
	count int64
	// through is the snapshot that tells of as many as carried.
	through uint64
	carried int64
}

// openUntold reads what was not told before.
func openUntold(file string) untold {
	u := untold{file: file}
	if text, err := os.ReadFile(file); err == nil {
		u.count, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	}
	return u
}

func (u *untold) add(n int) error {
	u.count += int64(n)
	return u.keep()
}

func (u *untold) keep() error {
	if u.file == "" {
		return nil
	}
	return writeState(u.file, strconv.FormatInt(u.count, 10)+"\n")
}

// mark makes the first of what is about to be sent tell of them.
func (u *untold) mark(head []queued) []queued {
	if u.count > 0 && len(head) > 0 {
		head[0].dropped = u.count
		u.through, u.carried = head[0].number, u.count
	}
	return head
}

// told notes that the server has what is up to a number.
func (u *untold) told(through uint64) error {
	if u.carried == 0 || through < u.through {
		return nil
	}
	u.count -= u.carried
	u.carried = 0
	return u.keep()
}

// newQueue returns a queue in memory alone, bounded in bytes of JSON.
func newQueue(limit int) *queue { return &queue{limit: limit, wake: make(chan struct{}, 1)} }

// newSpooledQueue returns a queue with a spool, and with what was left there.
func newSpooledQueue(s *spool.Spool, p *packer, logger *slog.Logger) *queue {
	return &queue{
		limit:  4 * memoryWindow,
		window: memoryWindow,
		spool:  s,
		packer: p,
		logger: logger,
		last:   s.Last(),
		behind: s.Last() > s.Done(),
		wake:   make(chan struct{}, 1),
	}
}

// add appends a snapshot. If the bound is passed the oldest go, with the changes
// that rest on them; it returns how many.
func (q *queue) add(s queued) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.dropped
	if q.spool == nil {
		q.last++
		s.number = q.last
		q.append(s)
		for q.bytes > q.limit && len(q.list) > 0 {
			q.cut()
		}
	} else {
		q.keep(s)
	}
	s.number = q.last
	q.newest.add(s)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return q.dropped - before
}

// ahead returns what of the newest run comes after a number, if so much waits before that
// run that it would come late: it may be sent twice, then, ahead of the rest and in its
// turn.
func (q *queue) ahead(after uint64) []queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.newest.list
	if len(q.list) == 0 || len(list) == 0 || list[0].number <= q.list[0].number+batchLimit {
		return nil
	}
	for len(list) > 0 && list[0].number <= after {
		list = list[1:]
	}
	return slices.Clone(list)
}

// drop counts snapshots that the server will not have.
func (q *queue) drop(n int) {
	q.dropped += n
	if err := q.untold.add(n); err != nil && q.logger != nil {
		q.logger.Warn("how many snapshots were dropped could not be noted", "err", err)
	}
}

func (q *queue) append(s queued) {
	q.list = append(q.list, s)
	q.bytes += len(s.json)
}

// keep writes a snapshot to the spool, and keeps it in memory as far as there is room
// and it is next.
func (q *queue) keep(s queued) {
	record := spool.Record{Time: int64(s.at), Kind: kindByte(s.kind), Payload: q.packer.pack(s.json)}
	err := q.spool.Append(&record)
	s.number, q.last = record.Number, record.Number
	if failing := err != nil; failing != q.failing {
		q.failing = failing
		if failing {
			q.logger.Error(
				"snapshots cannot be kept on disk: until they can, what waits is in memory and is lost with the agent",
				"err", err,
			)
		} else {
			q.logger.Info("snapshots are kept on disk again")
		}
	}
	switch {
	case err != nil || len(q.extra) > 0:
		q.extra = append(q.extra, s)
		q.extraBytes += len(s.json)
	case q.behind || q.bytes > 0 && q.bytes+len(s.json) > q.window:
		q.behind = true
	default:
		q.append(s)
	}
	for q.spool.Full() {
		q.dropSegment()
	}
	for q.extraBytes > q.limit {
		q.cutExtra()
	}
}

// dropSegment makes room in the spool: its oldest segment goes, with the changes that
// rested on it.
func (q *queue) dropSegment() {
	records, err := q.spool.DropOldest()
	if err != nil {
		q.logger.Warn("the oldest snapshots could not be removed from disk", "err", err)
	}
	q.drop(len(records))
	for len(q.list) > 0 && q.list[0].number <= q.spool.Done() {
		q.pop()
	}
	for q.refill(); len(q.list) > 0 && q.list[0].kind == snapshot.KindChanges; q.refill() {
		q.forget(q.pop().number)
		q.drop(1)
	}
}

// cutExtra drops the oldest of what is in memory alone, with the changes after it.
func (q *queue) cutExtra() {
	n := 1
	for n < len(q.extra) && q.extra[n].kind == snapshot.KindChanges {
		n++
	}
	for _, s := range q.extra[:n] {
		q.extraBytes -= len(s.json)
	}
	q.extra = q.extra[n:]
	q.drop(n)
}

// refill makes list hold what comes next, if anything waits.
func (q *queue) refill() {
	for len(q.list) == 0 && q.behind {
		records, err := q.spool.After(q.spool.Done())
		if err != nil {
			q.unreadable(err)
			return // what comes later waits for them
		}
		q.since = time.Time{}
		reached := q.unpack(records)
		if len(q.list) == 0 { // what is missing up to there is damaged
			q.forget(reached)
		}
		q.behind = reached < q.end()
	}
	if len(q.list) == 0 && len(q.extra) > 0 {
		q.list, q.bytes, q.extra, q.extraBytes = q.extra, q.extraBytes, nil, 0
	}
}

// unreadable notes that what comes next cannot be read; if that lasts, it is given up.
func (q *queue) unreadable(err error) {
	if q.since.IsZero() {
		q.since = time.Now()
		q.logger.Error("snapshots on disk cannot be read", "err", err)
	}
	if time.Since(q.since) < givenUp {
		return
	}
	lost, _ := q.spool.DropOldest()
	q.drop(max(1, len(lost)))
	q.behind, q.since = q.spool.Done() < q.end(), time.Time{}
	q.logger.Error("snapshots on disk that cannot be read are given up", "err", err)
}

// end is the number of the last snapshot that is in the spool alone.
func (q *queue) end() uint64 {
	if len(q.extra) > 0 {
		return q.extra[0].number - 1
	}
	return q.last
}

// unpack takes as many of a segment's records into memory as have room there, and
// returns up to which number there are no others.
func (q *queue) unpack(records []spool.Record) (reached uint64) {
	for _, r := range records {
		if r.Number > q.end() {
			break
		}
		if q.bytes > q.window {
			return reached
		}
		reached = r.Number
		text, err := q.packer.unpack(r.Payload)
		if err != nil {
			q.logger.Warn("a snapshot on disk is damaged, and is left out", "err", err)
			q.drop(1)
			continue
		}
		q.append(queued{number: r.Number, at: snapshot.Time(r.Time), kind: kindOf(r.Kind), json: text})
	}
	if reached == 0 {
		return q.end()
	}
	return reached
}

// head returns the oldest snapshots: at most n, and no more than fit limit bytes
// but at least one.
func (q *queue) head(n, limit int) []queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refill()
	size := 0
	for i := range q.list {
		size += len(q.list[i].json)
		if i == n || i > 0 && size > limit {
			return q.untold.mark(slices.Clone(q.list[:i]))
		}
	}
	return q.untold.mark(slices.Clone(q.list))
}

// ready reports whether head would return anything.
func (q *queue) ready() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refill()
	return len(q.list) > 0
}

// remove takes out the snapshots up to a number: the server has them. They are named
// because some may have been dropped meanwhile.
func (q *queue) remove(through uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) > 0 && q.list[0].number <= through {
		q.pop()
	}
	q.forget(through)
	if err := q.untold.told(through); err != nil {
		q.logger.Warn("how many snapshots were dropped could not be noted", "err", err)
	}
}

// forget tells the spool that it need not keep what is up to a number.
func (q *queue) forget(through uint64) {
	if q.spool == nil {
		return
	}
	if err := q.spool.Remove(through); err != nil && !q.failing {
		q.logger.Warn("what the server has could not be noted: it may be sent once more", "err", err)
	}
}

// dropChain takes out the oldest snapshot, if it is still the one of the number, and
// the changes that rest on it, and returns them.
func (q *queue) dropChain(number uint64) []queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 || q.list[0].number != number {
		return nil
	}
	return q.cut()
}

// cut removes the head and the changes after it, and counts them.
func (q *queue) cut() []queued {
	chain := []queued{q.pop()}
	q.forget(chain[0].number)
	for q.refill(); len(q.list) > 0 && q.list[0].kind == snapshot.KindChanges; q.refill() {
		one := q.pop()
		q.forget(one.number)
		chain = append(chain, one)
	}
	q.drop(len(chain))
	return chain
}

func (q *queue) pop() queued {
	first := q.list[0]
	q.bytes -= len(first.json)
	q.list[0].json = nil
	if q.list = q.list[1:]; len(q.list) == 0 {
		q.list = nil
	}
	return first
}

// size returns what waits: snapshots, as far as it is known without reading the disk, and
// bytes; and how many were dropped so far.
func (q *queue) size() (snapshots, bytes, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	snapshots, bytes = len(q.list)+len(q.extra), q.bytes+q.extraBytes
	if q.behind {
		begin := q.spool.Done()
		if len(q.list) > 0 {
			begin = q.list[len(q.list)-1].number
		}
		snapshots += int(q.end() - begin)
		bytes = int(q.spool.Bytes())
	}
	return snapshots, bytes, q.dropped
}

// close makes what waits outlast a loss of power.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.spool == nil {
		return
	}
	if err := q.spool.Close(); err != nil {
		q.logger.Warn("what waits could not be synced to the disk", "err", err)
	}
}

func kindByte(kind snapshot.Kind) byte {
	if kind == snapshot.KindChanges {
		return 1
	}
	return 0
}

func kindOf(b byte) snapshot.Kind {
	if b == 1 {
		return snapshot.KindChanges
	}
	return snapshot.KindFull
}
