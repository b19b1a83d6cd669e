package ingest

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/snapwatch/snapwatch/problem"
	"github.com/snapwatch/snapwatch/snapshot"
)

// queue holds accepted posts until they are committed, group by group. While one
// group commits, the next gathers: under load the groups grow by themselves.
type queue struct {
	cfg     Config
	writer  Writer
	metrics *metrics

	mu     sync.Mutex
	posts  []waitingPost
	rows   int // of posts and of the group being committed
	closed bool

	wake chan struct{} // a post was added, or the queue closed
	full chan struct{} // a group's worth of rows is waiting
	done chan struct{}
}

// waitingPost is an accepted post; its outcome channel is buffered, so that a
// client that went away holds nothing up.
type waitingPost struct {
	batch   *snapshot.Batch
	rows    int
	outcome chan snapshot.Outcome
}

func newQueue(cfg Config, writer Writer, m *metrics) *queue {
	q := &queue{cfg: cfg, writer: writer, metrics: m, wake: make(chan struct{}, 1), full: make(chan struct{}, 1), done: make(chan struct{})}
	go q.run()
	return q
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
func (q *queue) add(batch *snapshot.Batch) (<-chan snapshot.Outcome, error) {
	post := waitingPost{batch: batch, rows: rowsOf(batch), outcome: make(chan snapshot.Outcome, 1)}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, problem.New(http.StatusServiceUnavailable, "shutting_down", "The server is shutting down; send the post again.")
	}
	if q.rows > 0 && q.rows+post.rows > q.cfg.QueueRows {
		q.metrics.queueRefused.Inc()
		return nil, problem.New(http.StatusServiceUnavailable, "queue_full", "Too many snapshots wait to be written; send the post again later.")
	}
	q.posts = append(q.posts, post)
	q.rows += post.rows
	q.metrics.queueRows.Set(float64(q.rows))
	signal(q.wake)
	if q.rows >= q.cfg.GroupRows {
		signal(q.full)
	}
	return post.outcome, nil
}

// close refuses what comes and waits until all that was accepted is answered.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	signal(q.wake)
	signal(q.full)
	<-q.done
}

func (q *queue) run() {
	defer close(q.done)
	for {
		group, closed := q.take()
		if len(group) > 0 {
			q.commit(group)
			continue
		}
		if closed {
			return
		}
		<-q.wake
		q.gather()
	}
}

// gather waits a moment for posts to join the first one.
func (q *queue) gather() {
	timer := time.NewTimer(q.cfg.GroupWait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-q.full:
	}
}

// take removes the next group: at least one post, and no more than fit GroupRows.
func (q *queue) take() (group []waitingPost, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	rows, n := 0, 0
	for n < len(q.posts) && (n == 0 || rows+q.posts[n].rows <= q.cfg.GroupRows) {
		rows += q.posts[n].rows
		n++
	}
	group = q.posts[:n:n]
	if q.posts = q.posts[n:]; len(q.posts) == 0 {
		q.posts = nil
	}
	select { // what filled the last group says nothing of the next
	case <-q.full:
	default:
	}
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

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
