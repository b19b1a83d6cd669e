package ingest

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/internal/wake"
	"github.com/snapwatch/snapwatch/snapshot"
)

// queue holds accepted posts until they are committed in groups.
//
// It has one lane per concurrent writer, and the same number for late posts, so that live posts never wait behind late
// ones. A machine's posts go to the same lane, so they are committed in order. While a lane commits one group, posts
// for the next group wait, so that groups grow under load.
type queue struct {
	cfg     Config
	writer  Writer
	metrics *metrics
	live    []*lane
	late    []*lane
	running sync.WaitGroup // the lanes' goroutines

	mu           sync.Mutex
	rows         int            // of all waiting posts and of the groups that are being committed
	lateRows     int            // of those, the rows of posts in late lanes
	lateMachines map[string]int // how many posts of a machine are in a late lane
	closed       bool
}

// lane is the queue of one writer, in order of arrival. It is protected by queue.mu.
type lane struct {
	posts []queuedPost
	rows  int         // of posts
	wake  wake.Signal // a post was added, or the queue was closed
	full  wake.Signal // posts have at least Config.GroupRows rows, or the queue was closed
	since time.Time   // start of the current commit, zero if there is none
}

// queuedPost is an accepted post. The channel result is buffered, so that commit never waits for a client
// that has disconnected.
type queuedPost struct {
	batch  *snapshot.Batch
	isLate bool // whether it is in a late lane
	rows   int
	result chan snapshot.WriteResult
}

func newQueue(cfg Config, writer Writer, m *metrics) *queue {
	q := &queue{cfg: cfg, writer: writer, metrics: m, lateMachines: make(map[string]int)}
	q.live, q.late = q.startLanes(), q.startLanes()
	return q
}

// startLanes starts a lane for each writer.
func (q *queue) startLanes() []*lane {
	lanes := make([]*lane, q.cfg.Writers)
	for i := range lanes {
		l := &lane{wake: wake.New(), full: wake.New()}
		lanes[i] = l
		q.running.Go(func() { q.run(l) })
	}
	return lanes
}

// laneOf returns the lane for a post.
func (q *queue) laneOf(post *queuedPost) *lane {
	lanes := q.live
	if post.isLate {
		lanes = q.late
	}
	return lanes[xxhash.Sum64String(post.batch.MachineID)%uint64(len(lanes))]
}

// rowsOf returns the number of database rows for a batch, at least 1.
func rowsOf(batch *snapshot.Batch) int {
	rows := 1
	for i := range batch.Snapshots {
		s := &batch.Snapshots[i]
		rows += 1 + len(s.Processes) + len(s.Exited) + len(s.Machine.Disks) + len(s.Machine.Interfaces)
	}
	return rows
}

// add queues a batch. The returned channel receives the result of its commit. add returns a problem if the
// queue is full. An empty queue accepts a batch of any size. Late posts may fill half of the queue. A live post goes
// behind the late posts of its machine.
func (q *queue) add(batch *snapshot.Batch) (<-chan snapshot.WriteResult, error) {
	post := queuedPost{batch: batch, rows: rowsOf(batch), result: make(chan snapshot.WriteResult, 1)}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, problem.New(
			http.StatusServiceUnavailable, "shutting_down", "The server is shutting down. Send the post again.",
		)
	}
	post.isLate = batch.IsLate(snapshot.TimeOf(q.cfg.Now())) || q.lateMachines[batch.MachineID] > 0
	if q.rows > 0 && q.rows+post.rows > q.cfg.QueueRows ||
		post.isLate && q.lateRows > 0 && q.lateRows+post.rows > q.cfg.QueueRows/2 {
		q.metrics.queueRefused.Inc()
		return nil, problem.New(
			http.StatusServiceUnavailable, "queue_full",
			"Too many snapshots are waiting to be stored. Send the post again later.",
		)
	}
	l := q.laneOf(&post)
	if post.isLate {
		q.lateRows += post.rows
		q.lateMachines[batch.MachineID]++
	}
	l.posts = append(l.posts, post)
	l.rows += post.rows
	q.rows += post.rows
	q.metrics.queueRows.Set(float64(q.rows))
	l.wake.Notify()
	if l.rows >= q.cfg.GroupRows {
		l.full.Notify()
	}
	return post.result, nil
}

// close rejects further posts and waits until all accepted posts are committed.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	for _, l := range slices.Concat(q.live, q.late) {
		l.wake.Notify()
		l.full.Notify()
	}
	q.running.Wait()
}

// run commits the posts of a lane until the queue is closed and the lane is empty.
func (q *queue) run(l *lane) {
	for {
		group, closed := q.takeGroup(l)
		if len(group) > 0 {
			q.commit(l, group)
			continue
		}
		if closed {
			return
		}
		<-l.wake
		q.waitForGroup(l)
	}
}

// waitForGroup waits until a group is full, but at most for Config.GroupWait.
func (q *queue) waitForGroup(l *lane) {
	timer := time.NewTimer(q.cfg.GroupWait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.full:
	}
}

// takeGroup removes the next group from a lane. It has at least one post if there is any, and at most
// Config.GroupRows rows unless the first post alone has more.
func (q *queue) takeGroup(l *lane) (group []queuedPost, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	rows, n := 0, 0
	for n < len(l.posts) && (n == 0 || rows+l.posts[n].rows <= q.cfg.GroupRows) {
		rows += l.posts[n].rows
		n++
	}
	group = l.posts[:n:n]
	l.rows -= rows
	if l.posts = l.posts[n:]; len(l.posts) == 0 {
		l.posts = nil
	}
	l.full.Clear() // it was set for the posts of this group
	return group, q.closed
}

// longestCommit returns how long the oldest of the current commits has been running, 0 if there is none.
func (q *queue) longestCommit(now time.Time) (longest time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range slices.Concat(q.live, q.late) {
		if !l.since.IsZero() {
			longest = max(longest, now.Sub(l.since))
		}
	}
	return longest
}

func (q *queue) setSince(l *lane, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l.since = at
}

// commit writes a group of a lane and sends each post its result.
func (q *queue) commit(l *lane, group []queuedPost) {
	q.setSince(l, time.Now())
	defer q.setSince(l, time.Time{})
	ctx, cancel := context.WithTimeout(context.Background(), q.cfg.CommitTimeout)
	defer cancel()
	batches := make([]*snapshot.Batch, len(group))
	for i := range group {
		batches[i] = group[i].batch
	}
	q.metrics.groupPosts.Observe(float64(len(group)))
	results := q.writer.Write(ctx, batches)
	q.mu.Lock()
	for i := range group {
		q.release(&group[i])
	}
	q.metrics.queueRows.Set(float64(q.rows))
	q.mu.Unlock()
	for i := range group {
		group[i].result <- results[i]
	}
}

// release removes a committed post from the counts.
func (q *queue) release(post *queuedPost) {
	q.rows -= post.rows
	if !post.isLate {
		return
	}
	q.lateRows -= post.rows
	if q.lateMachines[post.batch.MachineID]--; q.lateMachines[post.batch.MachineID] == 0 {
		delete(q.lateMachines, post.batch.MachineID)
	}
}
