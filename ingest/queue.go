package ingest

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/internal/wake"
	"github.com/snapwatch/snapwatch/snapshot"
)

// queue holds accepted posts until they are committed, group by group. Each of
// its lanes commits on its own, with the machines that fall to it; while one group
// of a lane commits, its next gathers: under load the groups grow by themselves.
type queue struct {
	cfg     Config
	writer  Writer
	metrics *metrics
	lanes   []*lane
	running sync.WaitGroup

	mu     sync.Mutex
	rows   int // of all posts and of the groups being committed
	closed bool
}

// lane is a queue of some machines' posts, in order; queue.mu guards it.
type lane struct {
	posts []waitingPost
	rows  int         // of posts
	wake  wake.Signal // a post was added, or the queue closed
	full  wake.Signal // a group's worth of rows is waiting
}

// waitingPost is an accepted post; its outcome channel is buffered, so that a
// client that went away holds nothing up.
type waitingPost struct {
	batch   *snapshot.Batch
	rows    int
	outcome chan snapshot.WriteResult
}

func newQueue(cfg Config, writer Writer, m *metrics) *queue {
	q := &queue{cfg: cfg, writer: writer, metrics: m}
	for range cfg.Writers {
		lane := &lane{wake: wake.New(), full: wake.New()}
		q.lanes = append(q.lanes, lane)
		q.running.Go(func() { q.run(lane) })
	}
	return q
}

// laneOf returns the lane that has all posts of a machine.
func (q *queue) laneOf(machineID string) *lane {
	return q.lanes[xxhash.Sum64String(machineID)%uint64(len(q.lanes))]
}

// rowsOf is what a batch weighs: the rows it will write, at least one.
func rowsOf(batch *snapshot.Batch) int {
	rows := 1
	for i := range batch.Snapshots {
		s := &batch.Snapshots[i]
		rows += 1 + len(s.Processes) + len(s.Exited) + len(s.Machine.Disks) + len(s.Machine.Interfaces)
	}
	return rows
}

// add queues a batch, or refuses it if the queue is full. A batch that is larger
// than the whole queue is taken when nothing else waits.
func (q *queue) add(batch *snapshot.Batch) (<-chan snapshot.WriteResult, error) {
	post := waitingPost{batch: batch, rows: rowsOf(batch), outcome: make(chan snapshot.WriteResult, 1)}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, problem.New(
			http.StatusServiceUnavailable, "shutting_down", "The server is shutting down; send the post again.",
		)
	}
	if q.rows > 0 && q.rows+post.rows > q.cfg.QueueRows {
		q.metrics.queueRefused.Inc()
		return nil, problem.New(
			http.StatusServiceUnavailable, "queue_full",
			"Too many snapshots wait to be written; send the post again later.",
		)
	}
	lane := q.laneOf(batch.MachineID)
	lane.posts = append(lane.posts, post)
	lane.rows += post.rows
	q.rows += post.rows
	q.metrics.queueRows.Set(float64(q.rows))
	lane.wake.Notify()
	if lane.rows >= q.cfg.GroupRows {
		lane.full.Notify()
	}
	return post.outcome, nil
}

// close refuses what comes and waits until all that was accepted is answered.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	for _, lane := range q.lanes {
		lane.wake.Notify()
		lane.full.Notify()
	}
	q.running.Wait()
}

func (q *queue) run(lane *lane) {
	for {
		group, closed := q.take(lane)
		if len(group) > 0 {
			q.commit(group)
			continue
		}
		if closed {
			return
		}
		<-lane.wake
		q.gather(lane)
	}
}

// gather waits a moment for posts to join the first one.
func (q *queue) gather(lane *lane) {
	timer := time.NewTimer(q.cfg.GroupWait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-lane.full:
	}
}

// take removes the next group: at least one post, and no more than fit GroupRows.
func (q *queue) take(lane *lane) (group []waitingPost, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	rows, n := 0, 0
	for n < len(lane.posts) && (n == 0 || rows+lane.posts[n].rows <= q.cfg.GroupRows) {
		rows += lane.posts[n].rows
		n++
	}
	group = lane.posts[:n:n]
	lane.rows -= rows
	if lane.posts = lane.posts[n:]; len(lane.posts) == 0 {
		lane.posts = nil
	}
	lane.full.Clear() // the signal was for this group
	return group, q.closed
}

func (q *queue) commit(group []waitingPost) {
	ctx, cancel := context.WithTimeout(context.Background(), q.cfg.CommitTimeout)
	defer cancel()
	batches := make([]*snapshot.Batch, len(group))
	for i := range group {
		batches[i] = group[i].batch
	}
	q.metrics.groupPosts.Observe(float64(len(group)))
	outcomes := q.writer.Write(ctx, batches)
	rows := 0
	for i := range group {
		group[i].outcome <- outcomes[i]
		rows += group[i].rows
	}
	q.mu.Lock()
	q.rows -= rows
	q.metrics.queueRows.Set(float64(q.rows))
	q.mu.Unlock()
}
